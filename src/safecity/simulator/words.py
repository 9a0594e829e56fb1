"""What simulated callers say, in the languages they say it in, and what a call-taker writes down."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from safecity.model.incident import IncidentType

LANGUAGES: Final[Mapping[str, float]] = MappingProxyType({"en": 0.5, "de": 0.2, "ru": 0.15, "uz": 0.15})
"""Languages of callers and how often each is heard."""

WORDS: Final[Mapping[IncidentType, Mapping[str, tuple[str, ...]]]] = MappingProxyType(
    {
        IncidentType.FIRE_BUILDING: {
            "en": (
                "There is smoke coming out of a window at {place}!",
                "The house at {place} is on fire, I can see flames on the second floor.",
                "Please come quickly, it is burning at {place}.",
            ),
            "de": ("Bei {place} kommt Rauch aus dem Fenster!", "Es brennt, {place}, im zweiten Stock."),
            "ru": ("Горит квартира, {place}, дым из окон!", "Пожар по адресу {place}, приезжайте скорее."),
            "uz": ("{place} manzilida yongʻin, derazadan tutun chiqyapti!",),
        },
        IncidentType.FIRE_OTHER: {
            "en": ("A rubbish container is burning at {place}.", "There is a car on fire near {place}."),
            "de": ("Bei {place} brennt ein Müllcontainer.",),
            "ru": ("Горит мусорный бак, {place}.",),
            "uz": ("{place} yonida axlat idishi yonyapti.",),
        },
        IncidentType.GAS: {
            "en": ("It smells strongly of gas in the stairwell at {place}.", "I can smell gas at {place}."),
            "de": ("Im Treppenhaus {place} riecht es stark nach Gas.",),
            "ru": ("Сильный запах газа в подъезде, {place}.",),
            "uz": ("{place} da gaz hidi kelyapti.",),
        },
        IncidentType.MEDICAL: {
            "en": (
                "My father has chest pain and can hardly breathe. We are at {place}.",
                "Somebody collapsed in front of {place}, he does not answer.",
                "My wife fell down the stairs, I think her leg is broken. {place}.",
                "My child has a high fever and is shaking, we live at {place}.",
            ),
            "de": ("Mein Mann hat Schmerzen in der Brust. {place}.", "Vor {place} liegt jemand am Boden."),
            "ru": ("Человеку плохо с сердцем, {place}.", "Мама упала и не может встать, {place}."),
            "uz": ("Otamning yuragi ogʻriyapti, {place}.",),
        },
        IncidentType.TRAFFIC_COLLISION: {
            "en": (
                "Two cars crashed at {place}, one person is hurt.",
                "A cyclist was hit by a car near {place}.",
                "Accident at {place}, the road is blocked.",
            ),
            "de": ("Unfall bei {place}, zwei Autos, eine Person verletzt.",),
            "ru": ("ДТП, {place}, столкнулись две машины, есть пострадавший.",),
            "uz": ("{place} da ikki mashina toʻqnashdi.",),
        },
        IncidentType.CRIME: {
            "en": (
                "Somebody is breaking into the shop at {place}.",
                "There is a fight outside {place}, about five people.",
                "My bag was snatched a minute ago at {place}.",
            ),
            "de": ("Bei {place} schlagen sich mehrere Leute.",),
            "ru": ("Драка возле дома, {place}.", "Кто-то ломает дверь магазина, {place}."),
            "uz": ("{place} oldida janjal boʻlyapti.",),
        },
        IncidentType.FLOOD: {
            "en": ("The water is over the bank at {place}.", "Cellars are filling with water near {place}."),
            "de": ("Das Wasser steht bei {place} schon auf der Straße.",),
            "ru": ("Вода вышла на дорогу, {place}.",),
            "uz": ("{place} da suv koʻchaga chiqdi.",),
        },
        IncidentType.NOISE: {
            "en": ("I heard a very loud bang near {place}.",),
            "de": ("Bei {place} hat es laut geknallt.",),
            "ru": ("Очень громкий хлопок, {place}.",),
            "uz": ("{place} yonida kuchli portlash ovozi eshitildi.",),
        },
        IncidentType.OTHER: {
            "en": ("A tree has fallen on the road at {place}.", "A cable is hanging down at {place}."),
            "de": ("Bei {place} ist ein Baum auf die Straße gefallen.",),
            "ru": ("Упало дерево на дорогу, {place}.",),
            "uz": ("{place} da daraxt yoʻlga qulagan.",),
        },
    }
)
"""What callers say of each type; {place} is the address as they name it."""

NOTES: Final[Mapping[IncidentType, tuple[str, ...]]] = MappingProxyType(
    {
        IncidentType.FIRE_BUILDING: (
            "Smoke from a window, maybe people inside.",
            "Flames on an upper floor.",
        ),
        IncidentType.FIRE_OTHER: ("Small fire outdoors, no building threatened.",),
        IncidentType.GAS: ("Smell of gas in a stairwell; caller told to leave and touch no switch.",),
        IncidentType.MEDICAL: (
            "Adult, awake, chest pain.",
            "Person down, caller keeps checking the breathing.",
            "Fall, suspected fracture, awake.",
        ),
        IncidentType.TRAFFIC_COLLISION: ("Two vehicles, one person hurt, awake.", "Road partly blocked."),
        IncidentType.CRIME: ("In progress; caller keeps away.", "Just happened; caller is unhurt."),
        IncidentType.FLOOD: ("Water on the road, cellars threatened.",),
        IncidentType.NOISE: ("One loud bang heard, nothing seen.",),
        IncidentType.OTHER: ("Obstacle on the road, nobody hurt.",),
    }
)
"""What the call-taker notes after the interview."""

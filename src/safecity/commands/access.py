"""`safecity token`, `safecity account`, `safecity device`: who and what is let in, beside the console."""

import argparse
import re
from typing import TYPE_CHECKING, Final

from safecity.commands.running import (
    add_command,
    add_group,
    database_of,
    folder_of,
    operator,
    say,
    table,
)
from safecity.errors import Invalid, NotFound

if TYPE_CHECKING:
    import asyncpg

OF_TOKENS = """examples:
  safecity token make telephony --role telephony     prints the bearer token, once
  safecity token list
  safecity token disable telephony
"""
OF_ACCOUNTS = """examples:
  safecity account list
  safecity account disable Malika                    ends the sessions too
  safecity link --role dispatcher                    makes a link for a new person
"""
OF_DEVICES = """examples:
  safecity device add smoke-17                       prints the MQTT password, once
  safecity device list
"""
DEVICE_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""A device's id is a level of an MQTT topic and of a NATS subject."""


def add_access_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `token`, `account` and `device`."""
    tokens = add_group(commands, "token", "bearer tokens of other systems", OF_TOKENS)
    make = add_command(
        tokens,
        "make",
        "make a bearer token; one that NAME had before stops working",
        "token make telephony --role telephony",
        make_token,
    )
    make.add_argument("name", metavar="NAME", help="which system; the actor in the journal")
    make.add_argument("--role", action="append", required=True, help="what it may do; can be repeated")
    add_command(tokens, "list", "list all systems with a token", "token list", list_tokens)
    disable = add_command(
        tokens, "disable", "let a system in no longer", "token disable telephony", disable_token
    )
    disable.add_argument("name", metavar="NAME")

    accounts = add_group(commands, "account", "accounts of people", OF_ACCOUNTS)
    add_command(accounts, "list", "list all people", "account list", list_accounts)
    away = add_command(
        accounts, "disable", "let a person in no longer", "account disable Malika", disable_person
    )
    away.add_argument("name", metavar="NAME")

    devices = add_group(commands, "device", "sensors that speak MQTT", OF_DEVICES)
    add = add_command(devices, "add", "make a login for a device", "device add smoke-17", add_device)
    add.add_argument("id", metavar="ID", help="1 to 64 letters, digits, - or _")
    add_command(devices, "list", "list all devices with a login", "device list", list_devices)


async def make_token(given: argparse.Namespace) -> None:
    """Make and print a bearer token."""
    from safecity.access.accounts import checked_name
    from safecity.access.policy import Role
    from safecity.access.tokens import ensure_machine_token, new_token

    unknown = [role for role in given.role if role not in list(Role)]
    if unknown:
        raise Invalid(f"there is no role '{unknown[0]}'; the roles are {', '.join(Role)}")
    name, token = checked_name(given.name), new_token()
    async with database_of(given) as database:
        await ensure_machine_token(database, name, [Role(role) for role in given.role], token)
    say(token)


async def list_tokens(given: argparse.Namespace) -> None:
    """Print the systems that have a token, never the tokens."""
    async with database_of(given) as database, database.reading() as tx:
        rows = await tx.connection.fetch("SELECT * FROM machine_token ORDER BY name")
    table([("name", "roles", "since", "disabled"), *(_row(row) for row in rows)])


async def disable_token(given: argparse.Namespace) -> None:
    """Disable a token."""
    from safecity.access.tokens import disable_machine_token

    async with database_of(given) as database:
        if not await disable_machine_token(database, operator().actor, given.name):
            raise NotFound(f"no system called '{given.name}' has a token; 'safecity token list' names them")
    say(f"{given.name} is let in no longer")


async def list_accounts(given: argparse.Namespace) -> None:
    """Print the people who may sign in."""
    async with database_of(given) as database, database.reading() as tx:
        rows = await tx.connection.fetch("SELECT * FROM account ORDER BY name")
    table([("name", "roles", "since", "disabled"), *(_row(row) for row in rows)])


async def disable_person(given: argparse.Namespace) -> None:
    """Disable an account."""
    from safecity.access.accounts import disable_account

    async with database_of(given) as database:
        if not await disable_account(database, operator().actor, given.name):
            raise NotFound(f"nobody called '{given.name}' can sign in; 'safecity account list' names them")
    say(f"{given.name} is let in no longer; the name stays taken, since the journal names people by it")


async def add_device(given: argparse.Namespace) -> None:
    """Make a login for a device and print its password."""
    import msgspec

    from safecity.bus.engine import DeviceLogin, new_secret

    if not DEVICE_ID.fullmatch(given.id):
        raise Invalid("a device's id has 1 to 64 letters, digits, hyphens or underscores")
    folder = folder_of(given)
    if not folder.secrets.is_dir():
        raise NotFound(f"{folder.root} is no data folder; start once, or name the right one with --data DIR")
    known = folder.devices()
    if any(login.device_id == given.id for login in known):
        raise Invalid(f"the device '{given.id}' has a login already")
    login = DeviceLogin(given.id, new_secret())
    folder.write_private(folder.devices_file, msgspec.json.encode([*known, login]))
    say(login.password)
    say(f"user {given.id}, topic sensors/{given.id}/PROPERTY; the broker knows it from the next start on")


async def list_devices(given: argparse.Namespace) -> None:
    """Print the devices that have a login, never the passwords."""
    for login in folder_of(given).devices():
        say(login.device_id)


def _row(row: "asyncpg.Record") -> tuple[str, ...]:
    from safecity.model.base import utc_text

    until = row["disabled_at"]
    return (
        row["name"],
        ", ".join(row["roles"]),
        utc_text(row["created_at"]),
        utc_text(until) if until is not None else "",
    )

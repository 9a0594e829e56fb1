/** One form for a word however it is typed: oʻ/o'/õ/ö, gʻ/ğ, sh/ş, ch/ç, accents, and Cyrillic in Latin. */

const CYRILLIC: Readonly<Record<string, string>> = {
  а: "a",
  б: "b",
  в: "v",
  г: "g",
  д: "d",
  е: "e",
  ё: "yo",
  ж: "j",
  з: "z",
  и: "i",
  й: "y",
  к: "k",
  л: "l",
  м: "m",
  н: "n",
  о: "o",
  п: "p",
  р: "r",
  с: "s",
  т: "t",
  у: "u",
  ф: "f",
  х: "x",
  ц: "ts",
  ч: "ch",
  ш: "sh",
  щ: "sh",
  ъ: "",
  ы: "i",
  ь: "",
  э: "e",
  ю: "yu",
  я: "ya",
  ў: "o",
  қ: "q",
  ғ: "g",
  ҳ: "h",
};

const LETTERS: Readonly<Record<string, string>> = { ş: "sh", ç: "ch", ß: "ss", ı: "i", ø: "o", ł: "l" };

/** Return the folded form of `text`; two texts that a person calls the same fold alike. */
export function fold(text: string): string {
  let out = "";
  for (const letter of text.toLowerCase().normalize("NFC")) {
    out += CYRILLIC[letter] ?? LETTERS[letter] ?? letter;
  }
  return out
    .normalize("NFD")
    .replace(/[\u0300-\u036f]/g, "")
    .replace(/['`‘’ʻʼ]/g, "")
    .replace(/[^a-z0-9\u0400-\u04ff]+/g, " ")
    .trim();
}

/** Whether every word of `query` begins a word of `text`, or stands inside it when it has 3 letters or more. */
export function matches(query: string, text: string): boolean {
  const words = fold(query).split(" ").filter(Boolean);
  const folded = ` ${fold(text)}`;
  return words.every((word) => folded.includes(` ${word}`) || (word.length > 2 && folded.includes(word)));
}

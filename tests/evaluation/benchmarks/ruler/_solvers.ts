/** Answers a RULER prompt that has its question last, from its text alone. */
export type Solver = (prompt: string) => string;

/** The solver of a task. */
export function solverOf(task: string): Solver {
  if (task.startsWith("niah_")) return solveNeedles;
  const solver = { vt: solveVariables, cwe: solveCommon, fwe: solveFrequent }[task];
  return solver ?? solveQuestion;
}

/** The text from the last place where `mark` stands, up to the last question. */
function lastPart(prompt: string, mark: string): string {
  return prompt.slice(prompt.lastIndexOf(mark), prompt.lastIndexOf("\nQuestion:"));
}

function solveNeedles(prompt: string): string {
  const question = prompt.slice(prompt.lastIndexOf("\nWhat "));
  const keys = /for (.*?) mentioned/.exec(question)?.[1]?.split(/, (?:and )?/) ?? [];
  const values = [...prompt.matchAll(/One of the special magic \w+ for (\S+) is: (\S+)\./g)]
    .filter(([, key]) => keys.includes(key ?? ""))
    .map(([, , value]) => value);
  return values.join(", ");
}

function solveVariables(prompt: string): string {
  const text = lastPart(prompt, "Memorize and track");
  const value = [...prompt.matchAll(/assigned the value (\d+)/g)].at(-1)?.[1];
  const values = new Map<string, string>();
  for (const [, name = "", from = ""] of text.matchAll(/VAR ([A-Z]+) = (?:VAR )?(\w+)/g)) {
    values.set(name, values.get(from) ?? from);
  }
  return [...values].filter(([, of]) => of === value).map(([name]) => name).join(" ");
}

function solveCommon(prompt: string): string {
  const list = lastPart(prompt, "Below is a numbered list");
  return mostFrequent([...list.matchAll(/\d+\. ([a-z]+)/g)].map(([, word = ""]) => word), 10);
}

function solveFrequent(prompt: string): string {
  const text = lastPart(prompt, "coded words. ").slice("coded words. ".length);
  return mostFrequent(text.split(" ").filter((word) => word !== "..."), 3);
}

function mostFrequent(words: readonly string[], count: number): string {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return [...counts].sort(([, one], [, other]) => other - one)
    .slice(0, count).map(([word]) => word).join(" ");
}

/** The sentence that is most like the question, and the one most like both of them. */
function solveQuestion(prompt: string): string {
  const question = /\nQuestion: (.*) Answer:$/.exec(prompt)?.[1] ?? "";
  const documents = prompt.slice(0, prompt.lastIndexOf("\n\nAnswer the question"))
    .split(/Document \d+:\n/).slice(1);
  const sentences = [...new Set(documents.join(" ").split(/(?<=[.!?])\s+|\n/))]
    .map((sentence) => ({ sentence, words: wordsOf(sentence) }));
  const known = new Set(sentences.flatMap(({ words }) => [...words]));
  // Rare words say more.
  const weight = new Map([...known].map((word) => [
    word,
    1 / sentences.filter(({ words }) => words.has(word)).length,
  ]));
  const best = (asked: ReadonlySet<string>, but?: string) =>
    sentences.filter(({ sentence }) => sentence !== but)
      .map(({ sentence, words }) => ({
        sentence,
        score: [...asked].filter((word) => words.has(word))
          .reduce((sum, word) => sum + (weight.get(word) ?? 0), 0),
      }))
      .reduce((one, other) => other.score > one.score ? other : one).sentence;
  const first = best(wordsOf(question));
  return `${first} ${best(wordsOf(`${question} ${first}`), first)}`;
}

/** Words without their endings. */
function wordsOf(text: string): ReadonlySet<string> {
  return new Set(text.toLowerCase().match(/[a-z0-9]{3,}/g)?.map((word) => word.slice(0, 5)));
}

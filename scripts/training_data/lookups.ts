import type { Prng } from "../../policies/_random.ts";
import { TrainingError } from "../../training/errors.ts";
import { pick, type Recipe } from "./recipes.ts";
import { sentencesOf } from "./sentences.ts";

/** A sentence that states something, and the question that it answers. */
interface Statement {
  readonly fact: string;
  readonly question: string;
}

const NAMES = ["Orsino", "Tamsin", "Beverley", "Ludlow", "Marisol", "Quentin", "Haruki", "Ingrid"];
const TOWNS = ["Norvik", "Castelmar", "Dunmere", "Ashgrove", "Port Salis", "Ellenby", "Truro"];
const THINGS = [
  "lantern",
  "violin",
  "ledger",
  "compass",
  "saddle",
  "mirror",
  "kettle",
  "telescope",
];
const COLOURS = ["scarlet", "olive", "amber", "violet", "ivory", "turquoise", "charcoal"];

const STATEMENTS: readonly ((random: Prng) => Statement)[] = [
  (random) => {
    const town = pick(TOWNS, random);
    const time = `${6 + below(15, random)}:${10 + below(50, random)}`;
    return {
      fact: `The ferry to ${town} departs at ${time}.`,
      question: `When does the ferry to ${town} depart?`,
    };
  },
  (random) => {
    const [name, thing] = [pick(NAMES, random), pick(THINGS, random)];
    return {
      fact: `${name} paid ${20 + below(900, random)} crowns for the ${thing}.`,
      question: `How much did ${name} pay for the ${thing}?`,
    };
  },
  (random) => {
    const [name, thing] = [pick(NAMES, random), pick(THINGS, random)];
    return {
      fact: `The ${thing} that belongs to ${name} is ${pick(COLOURS, random)}.`,
      question: `What colour is the ${thing} that belongs to ${name}?`,
    };
  },
  (random) => {
    const [name, town] = [pick(NAMES, random), pick(TOWNS, random)];
    return {
      fact: `${name} was born in ${town}.`,
      question: `Where was ${name} born?`,
    };
  },
  (random) => {
    const name = pick(NAMES, random);
    const number = `${100 + below(900, random)} ${1000 + below(9000, random)}`;
    return {
      fact: `${name} can be reached by telephone under ${number}.`,
      question: `Under which telephone number can ${name} be reached?`,
    };
  },
  (random) => {
    const town = pick(TOWNS, random);
    return {
      fact: `In ${town} ${1000 + below(90000, random)} people live.`,
      question: `How many people live in ${town}?`,
    };
  },
];

// The longest text, not stretched, takes fewer: none runs over the end of the prose.
const FEWEST_SENTENCES = 200;

/**
 * Statements hidden in prose, several to a text, and a question about one: asked first or last.
 *
 * @param stretch How many times as long the texts are.
 * @throws {TrainingError} If the prose is too short.
 */
export function lookups(prose: string, count: number, random: Prng, stretch = 1): Recipe[] {
  const fewest = FEWEST_SENTENCES * stretch;
  const sentences = sentencesOf(prose);
  if (sentences.length <= fewest) {
    throw new TrainingError(
      `Cannot hide statements in the prose: it has ${sentences.length} sentences, more than ` +
        `${fewest} are needed`,
    );
  }
  return Array.from({ length: count }, () => {
    const aim = stretch * (900 + random() * 3800);
    const lines: string[] = [];
    let at = below(Math.ceil(sentences.length - fewest), random);
    for (let length = 0; length < aim; at++) {
      const line = sentences[at] ?? "";
      lines.push(line);
      length += line.length;
    }
    const stated = distinct(1 + below(4, random), random);
    for (const { fact } of stated) lines.splice(below(lines.length + 1, random), 0, fact);
    const { question } = pick(stated, random);
    const text = lines.join(" ");
    const content = random() < 0.5 ? `${question}\n\n${text}` : `${text}\n\n${question}`;
    return { source: "lookups", messages: [{ role: "user", content }] };
  });
}

// Two statements with one question would contradict each other.
function distinct(count: number, random: Prng): Statement[] {
  const byQuestion = new Map<string, Statement>();
  while (byQuestion.size < count) {
    const statement = pick(STATEMENTS, random)(random);
    byQuestion.set(statement.question, statement);
  }
  return [...byQuestion.values()];
}

function below(bound: number, random: Prng): number {
  return Math.floor(random() * bound);
}

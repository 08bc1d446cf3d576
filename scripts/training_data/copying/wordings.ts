import type { CopyingSplit } from "./vocabulary.ts";

/** How a value of a key is stated, asked for and told. */
export interface Wording {
  readonly state: (key: string, value: string) => string;
  /** Asks for the values of keys that are listed. */
  readonly ask: (keys: string) => string;
  readonly tell: (key: string, value: string) => string;
}

type Wordings = Readonly<Record<CopyingSplit, readonly [Wording, ...Wording[]]>>;

/** Short codes and numbers. */
export const CODES: Wordings = {
  train: [
    {
      state: (key, value) => `${key} is filed under ${value}.`,
      ask: (keys) => `Under which figures is each of these filed: ${keys}?`,
      tell: (key, value) => `${key} is filed under ${value}.`,
    },
    {
      state: (key, value) => `The combination for ${key} reads ${value}.`,
      ask: (keys) => `Give me the combination for ${keys}.`,
      tell: (_key, value) => value,
    },
    {
      state: (key, value) => `${key} -> ${value}`,
      ask: (keys) => `What stands behind the arrow of ${keys}?`,
      tell: (key, value) => `${key} -> ${value}`,
    },
    {
      state: (key, value) => `Please note: ${value} opens ${key}.`,
      ask: (keys) => `Which digits open ${keys}?`,
      tell: (_key, value) => value,
    },
    {
      state: (key, value) => `| ${key} | ${value} |`,
      ask: (keys) => `Look up the row of ${keys} and copy its second column.`,
      tell: (_key, value) => value,
    },
    {
      state: (key, value) => `"${key}": ${value},`,
      ask: (keys) => `Which value does the field of ${keys} hold?`,
      tell: (key, value) => `"${key}": ${value}`,
    },
  ],
  validation: [
    {
      state: (key, value) => `Anyone asking for ${key} must dial ${value} first.`,
      ask: (keys) => `Which digits must one dial for ${keys}?`,
      tell: (key, value) => `For ${key} one must dial ${value}.`,
    },
    {
      state: (key, value) => `${key} = ${value};`,
      ask: (keys) => `To what was ${keys} set?`,
      tell: (_key, value) => value,
    },
  ],
};

/** Identifiers of 32 characters. */
export const IDENTIFIERS: Wordings = {
  train: [
    {
      state: (key, value) => `The session token issued to ${key} was ${value}.`,
      ask: (keys) => `Which session token was issued to ${keys}?`,
      tell: (_key, value) => value,
    },
    {
      state: (key, value) => `checksum(${key}) ${value}`,
      ask: (keys) => `Copy the checksum of ${keys}.`,
      tell: (_key, value) => value,
    },
    {
      state: (key, value) => `They engraved ${value} on the back of ${key}.`,
      ask: (keys) => `What did they engrave on the back of ${keys}?`,
      tell: (_key, value) => `They engraved ${value}.`,
    },
  ],
  validation: [{
    state: (key, value) => `In the log, ${key} signs in with the secret ${value}.`,
    ask: (keys) => `With which secret does ${keys} sign in?`,
    tell: (_key, value) => value,
  }],
};

/** Names of people and places. */
export const NAMES: Wordings = {
  train: [
    {
      state: (key, value) => `The gatekeeper of ${key} goes by the name of ${value}.`,
      ask: (keys) => `Who keeps the gate of ${keys}?`,
      tell: (_key, value) => value,
    },
    {
      state: (key, value) => `It was ${value} who painted the mural in ${key}.`,
      ask: (keys) => `Name the painter of the mural in ${keys}.`,
      tell: (key, value) => `The mural in ${key} was painted by ${value}.`,
    },
    {
      state: (key, value) => `${key}: represented by ${value}`,
      ask: (keys) => `By whom is ${keys} represented?`,
      tell: (_key, value) => `By ${value}.`,
    },
  ],
  validation: [{
    state: (key, value) => `When ${key} held its fair, ${value} won the prize.`,
    ask: (keys) => `Who won the prize at the fair of ${keys}?`,
    tell: (_key, value) => value,
  }],
};

/** Several values of one key, each stated for itself. */
export const LISTS: Wordings = {
  train: [
    {
      state: (key, value) => `${key} drew the lot ${value}.`,
      ask: (keys) => `Write down each lot that ${keys} drew.`,
      tell: (_key, value) => value,
    },
    {
      state: (key, value) => `Receipt of ${key}: ${value} crowns.`,
      ask: (keys) => `How many crowns stand on each receipt of ${keys}?`,
      tell: (_key, value) => value,
    },
  ],
  validation: [{
    state: (key, value) => `Another visit of ${key} got the stamp ${value}.`,
    ask: (keys) => `Which stamps did the visits of ${keys} get?`,
    tell: (_key, value) => value,
  }],
};

/** What somebody says. */
export const QUOTATIONS: Wordings = {
  train: [
    {
      state: (key, value) => `${key} looked up and declared: "${value}"`,
      ask: (keys) => `What exactly did ${keys} declare?`,
      tell: (_key, value) => `"${value}"`,
    },
    {
      state: (key, value) => `"${value}" Those were the words of ${key}.`,
      ask: (keys) => `Repeat the words of ${keys}.`,
      tell: (_key, value) => value,
    },
  ],
  validation: [{
    state: (key, value) => `On the wall ${key} had written: «${value}»`,
    ask: (keys) => `What had ${keys} written on the wall?`,
    tell: (_key, value) => value,
  }],
};

/** A value that is handed on from name to name. */
export interface TraceWording {
  readonly start: (name: string, value: string) => string;
  readonly next: (name: string, from: string) => string;
  readonly ask: (value: string) => string;
}

/** Variables that are traced. */
export const TRACES: Readonly<Record<CopyingSplit, readonly [TraceWording, ...TraceWording[]]>> = {
  train: [
    {
      start: (name, value) => `let ${name} be ${value};`,
      next: (name, from) => `let ${name} be ${from};`,
      ask: (value) =>
        `Which names end up as ${value}? Write them in the order in which they appear.`,
    },
    {
      start: (name, value) => `${name} received the sum of ${value} by post.`,
      next: (name, from) => `${name} was handed all that ${from} had.`,
      ask: (value) => `Through whose hands did the sum of ${value} go, one after the other?`,
    },
  ],
  validation: [{
    start: (name, value) => `Register ${name} is loaded with ${value}.`,
    next: (name, from) => `Register ${name} is a copy of register ${from}.`,
    ask: (value) => `Name, in their order, all registers that hold ${value}.`,
  }],
};

/** Words that stand often. */
export interface CountWording {
  readonly intro: string;
  readonly ask: (count: number) => string;
}

/** Frequent words. */
export const COUNTS: Readonly<Record<CopyingSplit, readonly [CountWording, ...CountWording[]]>> = {
  train: [
    {
      intro: "Calls of birds, as they were heard this morning:",
      ask: (count) => `Which ${count} calls were heard most?`,
    },
    {
      intro: "Tally of votes, ballot by ballot:",
      ask: (count) => `Name the ${count} candidates with the most ballots.`,
    },
  ],
  validation: [{
    intro: "Tokens that fell out of the machine:",
    ask: (count) => `Tell me the ${count} tokens that fell out over and over.`,
  }],
};

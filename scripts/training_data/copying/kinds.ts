import {
  different,
  type Exercise,
  type ExerciseKind,
  type ExerciseRequest,
  figures,
  hidden,
  identifier,
  listed,
  madeUp,
  one,
  upTo,
} from "./exercise.ts";
import type { CopyingSplit } from "./vocabulary.ts";
import {
  CODES,
  COUNTS,
  IDENTIFIERS,
  LISTS,
  NAMES,
  QUOTATIONS,
  TRACES,
  type Wording,
} from "./wordings.ts";

/** A line of a look-alike list takes at least so many tokens. */
const LEAST_LINE = 5;

/** The kinds of exercises of a split, by name. */
export function exerciseKinds(split: CopyingSplit): Readonly<Record<string, ExerciseKind>> {
  const wording = (of: typeof CODES, { draw }: ExerciseRequest) => one(draw, of[split]);
  return {
    /** One of many that look alike. */
    entries: (request) =>
      lookAlikes(request, wording(CODES, request), () => figures(request.draw, length(request)), 1),
    /** The same with identifiers. */
    identifier_entries: (request) =>
      lookAlikes(request, wording(IDENTIFIERS, request), () => identifier(request.draw), 1),
    /** Several of many that look alike. */
    several_entries: (request) =>
      lookAlikes(request, wording(CODES, request), () => figures(request.draw, length(request)), 3),
    /** One identifier in prose. */
    identifiers: (request) =>
      needles(request, wording(IDENTIFIERS, request), () => identifier(request.draw), 1),
    /** A number in prose. */
    numbers: (request) =>
      needles(request, wording(CODES, request), () => figures(request.draw, length(request)), 1),
    /** Several numbers in prose. */
    several_numbers: (request) =>
      needles(
        request,
        wording(CODES, request),
        () => figures(request.draw, length(request)),
        request.draw.integer(2, 4),
      ),
    /** Names in prose. */
    names(request) {
      const { draw, words } = request;
      const places = draw.sample(words.places, 6);
      const people = draw.sample(words.people, 6);
      const chosen = wording(NAMES, request);
      const { state, ask, tell } = chosen;
      const statements = places.map((place, at) => state(place, people[at] ?? ""));
      const asked = draw.integer(0, places.length - 1);
      return {
        document: hidden(request, statements),
        question: ask(places[asked] ?? ""),
        answer: tell(places[asked] ?? "", people[asked] ?? ""),
        ...partsOf(chosen, [places[asked] ?? ""], [people[asked] ?? ""], words.announcement),
      };
    },
    /** All values of one of two keys. */
    several_values(request) {
      const { draw, words } = request;
      const [key = "", other = ""] = draw.sample(words.people, 2);
      const { state, ask, tell } = wording(LISTS, request);
      const count = draw.integer(2, 5);
      const values = different(2 * count, () => figures(draw, length(request)));
      const own = values.slice(0, count);
      // Both keys' statements mix, and each keeps its order, which the answer follows.
      const order = draw.shuffle(values.map((_, at) => at < count));
      let [mine, others] = [0, count];
      const statements = order.map((isOwn) =>
        isOwn ? state(key, values[mine++] ?? "") : state(other, values[others++] ?? "")
      );
      return {
        document: hidden(request, statements),
        question: ask(key),
        answer: listed(own.map((value) => tell(key, value))),
        parts: [words.announcement, ` ${own.join(", ")}`],
      };
    },
    /** A sentence that somebody said. */
    quotations(request) {
      const { draw, words, prose } = request;
      const speakers = draw.sample(words.people, 4);
      const short = prose.filter((text) => text.length < 160 && !text.includes('"'));
      const said = draw.sample(short.length < speakers.length ? prose : short, speakers.length);
      const chosen = wording(QUOTATIONS, request);
      const { state, ask, tell } = chosen;
      const asked = draw.integer(0, speakers.length - 1);
      const rest = prose.filter((text) => !said.includes(text));
      return {
        document: hidden(
          { ...request, prose: rest },
          speakers.map((speaker, at) => state(speaker, said[at] ?? "")),
        ),
        question: ask(speakers[asked] ?? ""),
        answer: tell(speakers[asked] ?? "", said[asked] ?? ""),
        ...partsOf(chosen, [speakers[asked] ?? ""], [said[asked] ?? ""], words.announcement),
      };
    },
    /** Names that a value is handed on to. */
    traces(request) {
      const { draw } = request;
      const { start, next, ask } = one(draw, TRACES[split]);
      const chains = 2;
      const hops = draw.integer(2, 4);
      const names = different(chains * (hops + 1), () => madeUp(request.words, draw));
      const values = different(chains, () => figures(draw, 5));
      const statements = values.flatMap((value, chain) => {
        const own = names.slice(chain * (hops + 1), (chain + 1) * (hops + 1));
        return own.map((name, at) => at === 0 ? start(name, value) : next(name, own[at - 1] ?? ""));
      });
      return {
        document: hidden(request, statements),
        question: ask(values[0] ?? ""),
        answer: listed(names.slice(0, hops + 1)),
        parts: [request.words.announcement, ` ${names.slice(0, hops + 1).join(", ")}`],
      };
    },
    /** The words that stand most often. */
    frequent(request) {
      const { draw, words, tokens } = request;
      const { intro, ask } = one(draw, COUNTS[split]);
      const asked = 3;
      const names = different(Math.max(8, Math.floor(tokens / 40)), () => madeUp(words, draw));
      // A word takes three tokens, about; shares fall with the rank, and all stand at least once.
      const total = tokens / 3 - names.length;
      const shares = names.map((_, at) => 1 / (at + 1) ** 2);
      const sum = shares.reduce((all, share) => all + share, 0);
      const stands = names.flatMap((name, at) =>
        new Array<string>(1 + Math.round(total * (shares[at] ?? 0) / sum)).fill(name)
      );
      return {
        document: `${intro} ${draw.shuffle(stands).join(" ")}`,
        question: ask(asked),
        answer: listed(names.slice(0, asked)),
        parts: [words.announcement, ` ${names.slice(0, asked).join(", ")}`],
      };
    },
  };
}

/** How many figures the numbers of an exercise have. */
function length({ draw }: ExerciseRequest): number {
  return draw.integer(4, 8);
}

/** A list of entries that all look alike. */
function lookAlikes(
  { draw, words, tokens }: ExerciseRequest,
  wording: Wording,
  value: () => string,
  count: number,
): Exercise {
  const { state, ask, tell } = wording;
  const thing = one(draw, ["", ...words.things.map((one) => `${one} `)]);
  const keys = different(
    Math.ceil(tokens / LEAST_LINE),
    () =>
      `${thing}${madeUp(words, draw)}${draw.integer(0, 1) === 0 ? "" : `-${draw.integer(2, 99)}`}`,
  );
  const values = different(keys.length, value);
  const lines = upTo(tokens, keys.map((key, at) => state(key, values[at] ?? "")));
  const asked = draw.indices(lines.length, count);
  return {
    document: lines.join(draw.integer(0, 1) === 0 ? "\n" : " "),
    question: ask(listed(asked.map((at) => keys[at] ?? ""))),
    answer: asked.map((at) => tell(keys[at] ?? "", values[at] ?? "")).join(apart(tell)),
    ...partsOf(
      wording,
      asked.map((at) => keys[at] ?? ""),
      asked.map((at) => values[at] ?? ""),
      words.announcement,
    ),
  };
}

/**
 * How an answer begins, and what follows: the statement up to its value, or all values behind an
 * announcement. None where a statement begins with its value.
 */
function partsOf(
  { state }: Wording,
  keys: readonly string[],
  values: readonly string[],
  announcement: string,
): Pick<Exercise, "parts"> {
  const [key = "", value = ""] = [keys[0], values[0]];
  if (keys.length > 1) return { parts: [announcement, ` ${values.join(", ")}`] };
  const stated = state(key, value);
  const at = stated.indexOf(value, stated.indexOf(key) + key.length);
  const before = stated.slice(0, Math.max(0, at));
  if (at < 0 || before === "") return {};
  const begun = before.trimEnd();
  return { parts: [capital(begun), before.slice(begun.length) + value] };
}

/** Sentences follow each other, others are listed. */
function apart(tell: Wording["tell"]): string {
  return tell("", "").endsWith(".") ? " " : ", ";
}

/** Statements in prose, of which some are asked for. */
function needles(
  request: ExerciseRequest,
  wording: Wording,
  value: () => string,
  count: number,
): Exercise {
  const { state, ask, tell } = wording;
  const { draw, words } = request;
  const stated = count + draw.integer(0, 2);
  const keys = different(
    stated,
    () => `the ${one(draw, ["old", ...words.things])} of ${draw.sample(words.people, 1).join("")}`,
  );
  const values = different(stated, value);
  const asked = draw.indices(stated, count);
  return {
    document: hidden(request, keys.map((key, at) => capital(state(key, values[at] ?? "")))),
    question: ask(listed(asked.map((at) => keys[at] ?? ""))),
    answer: capital(asked.map((at) => tell(keys[at] ?? "", values[at] ?? "")).join(apart(tell))),
    ...partsOf(
      wording,
      asked.map((at) => keys[at] ?? ""),
      asked.map((at) => values[at] ?? ""),
      words.announcement,
    ),
  };
}

/** A value that stands first is copied as it is. */
function capital(text: string): string {
  return text.startsWith("the ") ? `The ${text.slice(4)}` : text;
}

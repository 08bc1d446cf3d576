import { OptionError } from "../policies/policy.ts";
import { splitOutside } from "./split_outside.ts";

/** A policy as it is written, taken apart. */
export interface PolicyExpression {
  /** As it was written. */
  readonly text: string;
  /** Name, path or URL. */
  readonly source: string;
  /** The policy in the first place among the options: the one that this one wraps. */
  readonly inner?: PolicyExpression;
  /** The policy in the second place, behind another one. */
  readonly second?: PolicyExpression;
  readonly options: Readonly<Record<string, unknown>>;
  /** Whether there are parentheses, so that options were given, if only none. */
  readonly called: boolean;
}

const NOTATION = "write policies as in 'snapkv', 'snapkv(window=32,kernel=1)', " +
  "'./mine.ts(share=0.5)' or 'outer(inner(window=8),share=0.5)', and quote a path that has " +
  "brackets or commas";

/**
 * Takes a policy's notation apart. Options are numbers, `true`, `false`, words, paths, and JSON for
 * anything else.
 *
 * @throws {OptionError} If the text is not written so.
 *
 * @example
 * ```ts
 * import { parseExpression } from "./expression.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const { source, inner, options } = parseExpression("./outer.ts(snapkv(window=8), share=0.5)");
 * assertEquals([source, options], ["./outer.ts", { share: 0.5 }]);
 * assertEquals([inner?.source, inner?.options], ["snapkv", { window: 8 }]);
 * ```
 */
export function parseExpression(text: string): PolicyExpression {
  const entry = text.trim();
  const { source, content } = takeApart(entry);
  if (content === undefined) return { text: entry, source, options: {}, called: false };
  const words = splitList(content).map((word) => word.trim());
  const options: Record<string, unknown> = {};
  let inner: PolicyExpression | undefined;
  let second: PolicyExpression | undefined;
  for (const [at, word] of words.entries()) {
    if (word === "" && words.length === 1) break;
    const [, key, value = ""] = /^(\w+)\s*=\s*(.*)$/s.exec(word) ?? [];
    if (key !== undefined) {
      if (Object.hasOwn(options, key)) {
        throw new OptionError(`Cannot give option '${key}' of '${source}' twice`);
      }
      options[key] = readValue(value);
    } else if (at === 0 && word !== "") {
      inner = parseExpression(word);
    } else if (at === 1 && inner && word !== "") {
      second = parseExpression(word);
    } else {
      throw new OptionError(
        `Cannot read ${JSON.stringify(word)} as an option of '${source}': write name=value`,
      );
    }
  }
  return {
    text: entry,
    source,
    options,
    called: true,
    ...(inner ? { inner } : {}),
    ...(second ? { second } : {}),
  };
}

/**
 * Splits a list of policies, or of options, at its commas.
 *
 * @throws {OptionError} If brackets or quotes do not match.
 */
export function splitList(text: string): readonly string[] {
  const parts = splitOutside(text, ",");
  if (parts) return parts;
  throw new OptionError(
    `Cannot read ${JSON.stringify(text)}: its brackets or quotes do not match; ${NOTATION}`,
  );
}

/** The source, and what stands in the parentheses at the end. */
function takeApart(entry: string): { readonly source: string; readonly content?: string } {
  splitList(entry);
  const quoted = /^("(?:\\.|[^"\\])*")\s*(?:\((.*)\))?$/s.exec(entry);
  const open = quoted ? undefined : /^([^\s(][^(]*?)\s*\((.*)\)$/s.exec(entry);
  const [, source = entry, content] = quoted ?? open ?? [];
  const plain = quoted ? String(JSON.parse(source)) : source;
  // A name has no spaces, a path may have some.
  if (plain === "" || /["()]/.test(quoted ? "" : plain) || /^[\w-]*\s/.test(plain)) {
    throw new OptionError(`Cannot read ${JSON.stringify(entry)} as a policy: ${NOTATION}`);
  }
  return { source: plain, ...(content === undefined ? {} : { content }) };
}

function readValue(text: string): unknown {
  if (!/^(["[{\d.+-]|true$|false$|null$)/.test(text)) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

import type { GuardedText } from "./guarded_text.ts";
import type { AddedToken } from "./tokenizer_files.ts";
import type { VocabularyModel } from "./vocabulary_model.ts";

/** Texts that are tokens by themselves, by their first units. */
interface Trie {
  readonly next: Map<number, Trie>;
  token?: AddedToken;
}

/** What stands between two added tokens, or one of them. */
interface Section {
  readonly text: string;
  readonly token?: AddedToken;
}

/**
 * Encodes as the reference tokenizer does, except that control tokens are not read where a text is guarded.
 *
 * @param controls Ids of control tokens, which no plain text ever becomes.
 */
export function createEncoder(
  model: VocabularyModel,
  added: readonly AddedToken[],
  controls: ReadonlySet<number>,
): (text: GuardedText) => number[] {
  // Templates write control tokens as they are, so they are looked for before anything is normalized.
  const isEarly = ({ id, normalized }: AddedToken) =>
    !normalized || !model.normalize || controls.has(id);
  const early = added.filter(isEarly);
  const late = added.filter((token) => !isEarly(token));
  const before = trieOf(early, (text) => text);
  const after = trieOf(late, (text) => model.normalize?.(text) ?? text);

  return ({ text, guards }) =>
    split(text, before, guards, controls).flatMap((section, index) => {
      if (section.token) return [section.token.id];
      const normalized = (model.prefix ?? "") + (model.normalize?.(section.text) ?? section.text);
      return split(normalized, after, [], controls).flatMap((part) =>
        part.token ? [part.token.id] : model.encode(part.text, index, controls)
      );
    });
}

function trieOf(tokens: readonly AddedToken[], written: (text: string) => string): Trie {
  const root: Trie = { next: new Map() };
  for (const token of tokens) {
    let node = root;
    const text = written(token.content);
    for (let at = 0; at < text.length; at++) {
      const unit = text.charCodeAt(at);
      let child = node.next.get(unit);
      if (!child) node.next.set(unit, child = { next: new Map() });
      node = child;
    }
    if (node !== root) node.token = token;
  }
  return root;
}

/** Cuts a text at added tokens: from the left, the longest first. */
function split(
  text: string,
  trie: Trie,
  guards: GuardedText["guards"],
  controls: ReadonlySet<number>,
): Section[] {
  const sections: Section[] = [];
  let start = 0;
  let guard = 0;
  for (let at = 0; at < text.length;) {
    while (guard < guards.length && (guards[guard]?.to ?? 0) <= at) guard++;
    const limit = guards[guard]?.from ?? Infinity;
    let node = trie.next.get(text.charCodeAt(at));
    let found: { readonly token: AddedToken; readonly end: number } | undefined;
    for (let end = at + 1; node; node = node.next.get(text.charCodeAt(end++))) {
      const { token } = node;
      if (token && (end <= limit || !controls.has(token.id))) found = { token, end };
    }
    if (!found) {
      at++;
      continue;
    }
    // A match that is not one is passed over whole, as the reference does: no shorter one is looked for in it.
    if (found.token.single_word && isInsideWord(text, at, found.end)) {
      at = found.end;
      continue;
    }
    if (at > start) sections.push({ text: text.slice(start, at) });
    sections.push({ text: text.slice(at, found.end), token: found.token });
    at = start = found.end;
  }
  if (start < text.length) sections.push({ text: text.slice(start) });
  return stripped(sections);
}

// What Rust's regular expressions call a letter of a word, for the reference.
const WORD = String.raw`[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]`;
const ENDS_IN_WORD = new RegExp(`${WORD}$`, "u");
const BEGINS_IN_WORD = new RegExp(`^${WORD}`, "u");

/** Whether a word goes on before a part of a text, or behind it. */
function isInsideWord(text: string, from: number, to: number): boolean {
  // Two units are enough for one character; a half of another one before it does no harm.
  return ENDS_IN_WORD.test(text.slice(Math.max(0, from - 2), from)) ||
    BEGINS_IN_WORD.test(text.slice(to, to + 2));
}

/** Takes the spaces away that added tokens swallow. */
function stripped(sections: readonly Section[]): Section[] {
  return sections.map((section, index) => {
    if (section.token) return section;
    let { text } = section;
    if (sections[index + 1]?.token?.lstrip) text = text.trimEnd();
    if (sections[index - 1]?.token?.rstrip) text = text.trimStart();
    return { text };
  });
}

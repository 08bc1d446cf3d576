import stringWidth from "npm:string-width@9.0.0";

/** Text in one shade. */
export interface Run {
  readonly text: string;
  readonly shade: number;
}

const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/**
 * Breaks text into lines of a width: between words, or inside a word that is longer than a line.
 * Neighbours of one shade are joined.
 *
 * @param columns Width of a line in columns of the terminal.
 */
export function wrap(runs: Iterable<Run>, columns: number): Run[][] {
  const lines: Run[][] = [];
  let line: Run[] = [];
  let used = 0;
  let word: Run[] = [];
  const breakLine = () => {
    lines.push(line);
    [line, used] = [[], 0];
  };
  const put = (run: Run, width: number) => {
    const last = line.at(-1);
    if (last?.shade === run.shade) line[line.length - 1] = join(last, run);
    else line.push(run);
    used += width;
  };
  const putWord = () => {
    const width = stringWidth(word.map(({ text }) => text).join(""));
    if (used > 0 && used + width > columns) breakLine();
    for (const run of word) {
      if (width <= columns) put(run, stringWidth(run.text));
      else {
        for (const { segment } of graphemes.segment(run.text)) {
          const size = stringWidth(segment);
          if (used > 0 && used + size > columns) breakLine();
          put({ text: segment, shade: run.shade }, size);
        }
      }
    }
    word = [];
  };
  for (const { text, shade } of runs) {
    for (const [part] of text.matchAll(/\n|[^\S\n]+|\S+/gu)) {
      if (/\S/u.test(part)) {
        word.push({ text: part, shade });
        continue;
      }
      putWord();
      if (part === "\n") breakLine();
      else {
        for (const space of part) {
          if (used >= columns) breakLine();
          put({ text: space, shade }, 1);
        }
      }
    }
  }
  putWord();
  if (line.length > 0) breakLine();
  return lines;
}

function join(a: Run, b: Run): Run {
  return { text: a.text + b.text, shade: a.shade };
}

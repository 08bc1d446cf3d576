/** A prompt and the tokens of prose before it. */
export interface ComparedPrompt {
  /** Tokens of prose that it stands behind. */
  readonly behind: number;
  readonly text: string;
}

const short = (text: string): ComparedPrompt => ({ behind: 0, text });

/** Prose, code, numbers, other scripts; two of them behind more text than a window holds. */
export const PROMPTS: readonly ComparedPrompt[] = [
  short("The capital of France is"),
  short('def fibonacci(n):\n    """Return the n-th Fibonacci number."""\n'),
  short("Once upon a time, in a small village by the sea, there lived"),
  short("Question: What is 17 + 25?\nAnswer: 42\n\nQuestion: What is 36 + 48?\nAnswer:"),
  short("Die Hauptstadt von Deutschland ist Berlin. Die Hauptstadt von Italien ist"),
  short("日本の首都は東京です。フランスの首都は"),
  short("| country | capital |\n|---|---|\n| Spain | Madrid |\n| Portugal |"),
  short("1, 1, 2, 3, 5, 8, 13, 21,"),
  { behind: 600, text: "\n\nIn short, the story is about" },
  { behind: 5000, text: "\n\nIn short, the story is about" },
];

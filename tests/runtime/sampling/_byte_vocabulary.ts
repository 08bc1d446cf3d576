import {
  type Constraint,
  type ConstraintSpec,
  createConstraintCompiler,
} from "../../../runtime/sampling/constraint.ts";
import type { TokenMask } from "../../../runtime/sampling/token_mask.ts";

/** Tokens of several bytes, as vocabularies have them: across the borders of JSON's parts. */
const LONGER = [
  '{"',
  '":',
  '": "',
  '","',
  '"}',
  "},",
  "]]",
  " true",
  "null",
  "10",
  "é",
  "漢字",
  '\\"',
  "\\u00",
];

const encoder = new TextEncoder();
const TOKENS = [
  ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
  ...LONGER.map((text) => encoder.encode(text)),
  new Uint8Array(),
];

/** The id that ends an answer. */
export const END = TOKENS.length - 1;

const compiler = createConstraintCompiler({
  vocabulary: TOKENS.length,
  tokenBytes: (id) => TOKENS[id] ?? new Uint8Array(),
}, [END]);

/** A constraint over tokens that are bytes, and some longer ones. */
export const constrain = (spec: ConstraintSpec): Constraint => compiler.compile(spec);

export function isAllowed(mask: TokenMask, id: number): boolean {
  return ((mask[id >>> 5] ?? 0) >>> (id & 31) & 1) === 1;
}

/** Whether a text is allowed, token by token, and may end there. */
export function accepts(spec: ConstraintSpec, text: string): boolean {
  const constraint = constrain(spec);
  for (const byte of encoder.encode(text)) {
    if (!isAllowed(constraint.mask(), byte)) return false;
    constraint.accept(byte);
  }
  return isAllowed(constraint.mask(), END);
}

/** Bytes that bring a text of JSON to its end. */
const CLOSING = encoder.encode('"}]0:ntf');

/** Draws tokens that are allowed, and looks for an end after a while; `undefined` if it finds none. */
export function sample(constraint: Constraint, random: () => number): string | undefined {
  const bytes: number[] = [];
  for (let steps = 0; steps < 400 && !constraint.done; steps++) {
    const mask = constraint.mask();
    const allowed = TOKENS.keys().filter((id) => isAllowed(mask, id)).toArray();
    const closing = CLOSING.filter((id) => allowed.includes(id));
    const hurried = steps > 25 || random() < 0.3;
    const wanted = hurried && allowed.includes(END)
      ? [END]
      : hurried && closing.length > 0
      ? [...closing]
      : allowed;
    const id = wanted[Math.floor(random() * wanted.length)];
    if (id === undefined) {
      throw new Error(`nothing may follow ${new TextDecoder().decode(Uint8Array.from(bytes))}`);
    }
    constraint.accept(id);
    bytes.push(...TOKENS[id] ?? []);
  }
  return constraint.done
    ? new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(bytes))
    : undefined;
}

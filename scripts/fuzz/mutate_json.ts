import type { Draw } from "./draw.ts";
import { join } from "./mutate_bytes.ts";
import type { Mutation } from "./target.ts";

const encoder = new TextEncoder();

/** Stands for a text that no value of JavaScript turns into. */
const HOLE = "\u2603 hole";

/** Texts that take the place of a value. */
function hostileText(draw: Draw): string {
  const depth = draw.pick([10, 1_000, 20_000]);
  return draw.pick([
    "null",
    "true",
    "false",
    "0",
    "-0",
    "-1",
    "1",
    "0.5",
    "3",
    "255",
    "65536",
    "2147483648",
    "4294967295",
    "9007199254740991",
    "9007199254740992",
    "18446744073709551615",
    "1e15",
    "1e300",
    "1e999",
    "1e-320",
    '""',
    '"\\u0000"',
    '"\\ud800"',
    '"\\u001b[2J"',
    '"__proto__"',
    '"(?:"',
    '"[\\\\p{L}"',
    '"../../etc/passwd"',
    '"{{ x"',
    `"${"a".repeat(100_000)}"`,
    "[]",
    "{}",
    "[null]",
    "[[]]",
    '{"__proto__": {"type": "BPE"}}',
    '{"constructor": 1, "toString": 2, "length": -1}',
    `[${"0,".repeat(50_000)}0]`,
    "[".repeat(depth) + "]".repeat(depth),
    '{"a":'.repeat(depth) + "1" + "}".repeat(depth),
  ]);
}

interface Slot {
  readonly parent: Record<string, unknown>;
  readonly key: string;
}

/** A walk down from the top that ends anywhere, so that settings are met as often as long lists. */
function walk(value: unknown, draw: Draw): Slot | undefined {
  let slot: Slot | undefined;
  for (let inner = value; typeof inner === "object" && inner !== null;) {
    const parent = inner as Record<string, unknown>;
    const keys = Object.keys(parent);
    const key = keys[draw.below(keys.length)];
    if (key === undefined) break;
    slot = { parent, key };
    inner = parent[key];
    if (draw.below(3) === 0) break;
  }
  return slot;
}

/** Mutates the value and writes it again; what is no JSON, or too deep to write, is left alone. */
function onValue(
  mutate: (slot: Slot, draw: Draw, whole: unknown) => string | void,
): Mutation {
  return (whole, draw) => {
    try {
      const value: unknown = JSON.parse(new TextDecoder().decode(whole));
      const slot = walk(value, draw);
      if (!slot) return whole;
      const text = mutate(slot, draw, value) ?? HOLE;
      return encoder.encode(JSON.stringify(value).replace(`"${HOLE}"`, () => text));
    } catch {
      return whole;
    }
  };
}

const replace = onValue(({ parent, key }, draw) => {
  parent[key] = HOLE;
  return hostileText(draw);
});

const drop = onValue(({ parent, key }) => {
  if (Array.isArray(parent)) parent.splice(Number(key), 1);
  else delete parent[key];
});

const exchange = onValue(({ parent, key }, draw, whole) => {
  const other = walk(whole, draw);
  if (other) parent[key] = JSON.parse(JSON.stringify(other.parent[other.key]));
});

const rename = onValue(({ parent, key }, draw) => {
  if (Array.isArray(parent)) return;
  const name = draw.pick(["__proto__", "", "constructor", key.toUpperCase(), `${key}\u0000`]);
  const value = parent[key];
  delete parent[key];
  Object.defineProperty(parent, name, { value, enumerable: true });
});

const nudge = onValue(({ parent, key }, draw) => {
  const value = parent[key];
  if (typeof value === "boolean") parent[key] = !value;
  if (typeof value === "string") {
    parent[key] = draw.pick([`${value} `, value.slice(1), `(${value}`]);
  }
  if (typeof value !== "number") return;
  parent[key] = draw.pick([value + 1, value - 1, -value, value * 2, value + 0.5, value * 1e9]);
});

/** Names a key twice: parsers differ in which one counts. */
const repeatKey: Mutation = (whole, draw) => {
  const text = new TextDecoder().decode(whole);
  const keys = [...text.matchAll(/"([^"\\]{1,40})"\s*:/g)];
  const key = keys[draw.below(keys.length)];
  if (!key) return whole;
  const at = draw.pick([key.index, text.indexOf("{") + 1]);
  const entry = `"${key[1]}":${hostileText(draw)},`;
  return encoder.encode(text.slice(0, at) + entry + text.slice(at));
};

const wrap: Mutation = (whole, draw) => {
  const [before, after] = draw.pick<readonly [string, string]>([
    ["\ufeff", ""],
    ["[", "]"],
    ['{"a":', "}"],
    ["", "\u0000"],
    ["", "}"],
    ["// a comment\n", ""],
    [" ".repeat(100_000), ""],
    ["[".repeat(100_000), ""],
  ]);
  return join(encoder.encode(before), whole, encoder.encode(after));
};

const noUtf8: Mutation = (whole, draw) => {
  const at = draw.below(whole.length);
  return join(whole.subarray(0, at), Uint8Array.of(0xff, 0xc3, 0x28), whole.subarray(at));
};

/** Mutations of a text in JSON. */
export const JSON_MUTATIONS: readonly [Mutation, ...Mutation[]] = [
  replace,
  replace,
  replace,
  replace,
  drop,
  exchange,
  rename,
  nudge,
  nudge,
  repeatKey,
  wrap,
  noUtf8,
];

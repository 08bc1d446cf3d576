import { createHash } from "node:crypto";
import { JSON_MUTATIONS } from "./mutate_json.ts";
import { framed, SAFETENSORS_MUTATIONS, split } from "./safetensors_mutations.ts";
import type { Mutation } from "./target.ts";

const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const encode = (text: string) => new TextEncoder().encode(text);

interface Header {
  readonly __metadata__: Record<string, string>;
  readonly [tensor: string]: { readonly data_offsets?: readonly [number, number] };
}

/** Makes the digest right again, as whoever makes such a file by hand would. */
function resign(whole: Uint8Array): Uint8Array {
  try {
    const [bytes, data] = split(whole);
    const header: Header = JSON.parse(decode(bytes));
    const hash = createHash("sha256").update(header.__metadata__.record ?? "");
    const layers = Object.keys(header).filter((name) => name.startsWith("keys.")).length;
    const names = ["ids", "logits"];
    for (let layer = 0; layer < layers; layer++) {
      names.push(`keys.${layer}`, `values.${layer}`, `positions.${layer}`);
    }
    for (const name of names) {
      const [from, to] = header[name]?.data_offsets ?? [0, 0];
      hash.update(data.subarray(from, to));
    }
    header.__metadata__.sha256 = hash.digest("hex");
    return framed(encode(JSON.stringify(header)), data);
  } catch {
    return whole;
  }
}

/** Mutates the record, which is JSON inside of JSON. */
const inRecord: Mutation = (whole, draw) => {
  const [bytes, data] = split(whole);
  try {
    const header: Header = JSON.parse(decode(bytes));
    const record = encode(header.__metadata__.record ?? "");
    header.__metadata__.record = decode(draw.pick(JSON_MUTATIONS)(record, draw));
    return resign(framed(encode(JSON.stringify(header)), data));
  } catch {
    return whole;
  }
};

/** Mutates tensors: tokens that do not exist, positions out of order, numbers that are none. */
const inNumbers: Mutation = (whole, draw) => {
  const [header, data] = split(whole);
  const changed = data.slice();
  const view = new DataView(changed.buffer);
  for (let changes = 1 + draw.below(4); changes > 0 && data.length >= 4; changes--) {
    const value = draw.pick([0, -1, 1, 5, 268, 2 ** 31 - 1, 0x7fc00000, 0x7f800000]);
    view.setInt32(4 * draw.below(Math.floor(data.length / 4)), value, true);
  }
  return resign(framed(header, changed));
};

/** Mutations that know what a saved cache is made of. */
export const SAVED_CACHE_MUTATIONS: readonly Mutation[] = [
  ...SAFETENSORS_MUTATIONS,
  inRecord,
  inRecord,
  inRecord,
  inRecord,
  inNumbers,
  inNumbers,
];

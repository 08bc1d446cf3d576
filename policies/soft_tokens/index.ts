import type { ModelFacts } from "../policy.ts";

/** Trained soft tokens that come with the project. */
export interface ShippedTokens {
  /** Name of the policy that they were trained for. */
  readonly policy: string;
  /** Name of the model, for people. */
  readonly model: string;
  /** {@linkcode ModelFacts.identity} of the model: every format of it is served. */
  readonly identity: string;
  /** Address of the file, which lies beside this one wherever this one was imported from. */
  readonly file: URL;
}

/** All of them; `kvjudge inspect FILE` shows the identity that a row needs. */
export const SHIPPED: readonly ShippedTokens[] = [
  {
    policy: "judge_document",
    model: "smollm2-135m-instruct",
    identity: "cbae7369398599916727994afd464cd0ef498d807615b06575ec4c0d91df7d1c",
    file: new URL("./judge_document_smollm2_135m_instruct.safetensors", import.meta.url),
  },
  {
    policy: "judge_q",
    model: "smollm2-135m-instruct",
    identity: "cbae7369398599916727994afd464cd0ef498d807615b06575ec4c0d91df7d1c",
    file: new URL("./judge_q_smollm2_135m_instruct.safetensors", import.meta.url),
  },
  {
    policy: "judge_q",
    model: "gemma-3-270m",
    identity: "b74868a7f524fee6302685460d20b50cef42b7579fb37ed9c87fdb6e56960522",
    file: new URL("./judge_q_gemma_3_270m.safetensors", import.meta.url),
  },
];

/** Where the tokens of a policy for a model lie, if any ship. */
export function findShipped(
  policy: string,
  { identity }: Pick<ModelFacts, "identity">,
  shipped: readonly ShippedTokens[] = SHIPPED,
): URL | undefined {
  return shipped.find((tokens) => tokens.policy === policy && tokens.identity === identity)?.file;
}

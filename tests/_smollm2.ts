import { resolveModel } from "../runtime/models/resolve_model.ts";

let path: Promise<string> | undefined;

/**
 * Path of SmolLM2-135M-Instruct as a GGUF file, for tests that need the real model. It is fetched
 * once, as the product does it, into the product's own folder (`KVJUDGE_HOME`).
 */
export function smollm2(): Promise<string> {
  return path ??= resolveModel("smollm2-135m-instruct", { onProgress: announce() });
}

/** One line per phase, so that the first run of the tests does not look stuck. */
function announce() {
  let last = "";
  return ({ file, phase }: { readonly file: string; readonly phase: string }) => {
    if (phase !== last) console.error(`fetching ${file} (${phase})`);
    last = phase;
  };
}

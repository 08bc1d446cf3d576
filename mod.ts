/**
 * kvjudge: reads a long prompt, keeps only the KV cache entries that the answer will need, answers.
 *
 * @example Ask a question about a long document
 * ```ts no-assert
 * import { judgeQ, loadModel } from "./mod.ts";
 *
 * await using model = await loadModel("smollm2-135m-instruct");
 * await using session = model.session({ policy: judgeQ(), budget: 256 });
 * const answer = session.ask("Mill Lane has 12 houses.", "How many houses has Mill Lane?", {
 *   maxTokens: 20,
 * });
 * for await (const text of answer) console.log(text);
 * console.log(session.stats().bytes);
 * ```
 *
 * @module
 */
export * from "./plugins/mod.ts";
export * from "./policies/mod.ts";
export * from "./runtime/mod.ts";

import { full } from "../../policies/full.ts";
import { loadPolicy } from "../../plugins/load_policy.ts";
import { loadModel, type Model } from "../../runtime/model.ts";
import type { GenerationEvent } from "./events.ts";
import type { SchedulerOptions } from "./options.ts";
import type { GenerationRequest } from "./request.ts";
import { renderPrompt } from "../prompt/render_prompt.ts";
import {
  ContextOverflowError,
  StoppingError,
  UnknownDocumentError,
  UnknownModelError,
} from "./errors.ts";
import type { Scheduler, ServedModelFacts } from "./scheduler.ts";
import type { Token } from "./token.ts";

/** One request at a time, in this thread. */
export function createSimpleScheduler({ models: [first], load }: SchedulerOptions): Scheduler {
  const { id = "", source = "" } = first ?? {};
  const loading = loadModel(source, load);
  let facts: ServedModelFacts | undefined;
  const ready = loading.then(async (model) => {
    facts = {
      context: model.config.context,
      vocabulary: model.config.vocabulary,
      layers: model.config.layers,
      kvHeads: model.config.kvHeads,
      headDim: model.config.headDim,
      family: "",
      precision: model.precision,
      fingerprint: await model.fingerprint(),
      hasChatTemplate: model.tokenizer.hasChatTemplate,
      eosIds: model.tokenizer.eosIds,
    };
  });
  const created = Math.floor(Date.now() / 1000);
  const stats = {
    running: 0,
    waiting: 0,
    parallel: 1,
    cacheBytes: 0,
    cacheMemory: 0,
    prefixQueries: 0,
    prefixHits: 0,
    promptTokens: 0,
    generationTokens: 0,
    evictions: 0,
    steps: 0,
    stepTokens: 0,
  };
  let turn: Promise<unknown> = Promise.resolve();
  let stopping = false;
  const named = async (name: string | undefined): Promise<Model> => {
    if (name !== undefined && name !== id) {
      throw new UnknownModelError(`There is no model '${name}' here; there is ${id}`);
    }
    return await loading;
  };
  const tokenOf = (model: Model, one: number): Token => {
    const token = model.tokenizer.decode([one]);
    return { id: one, token, bytes: [...new TextEncoder().encode(token)] };
  };
  async function* submit(request: GenerationRequest): AsyncGenerator<GenerationEvent, void> {
    if (stopping) throw new StoppingError("The server is about to end; ask again");
    const model = await named(request.model);
    const ids = renderPrompt(request.prompt, model.tokenizer);
    const { context } = model.config;
    if (ids.length >= context) {
      throw new ContextOverflowError(
        `The prompt has ${ids.length} tokens, the model's context ${context}`,
        ids.length,
        context,
      );
    }
    const eviction = request.eviction;
    await using loaded = eviction
      ? await loadPolicy(eviction.policy, { sandbox: true })
      : undefined;
    yield { kind: "accepted", promptTokens: ids.length };
    const before = turn;
    const { promise, resolve } = Promise.withResolvers<void>();
    turn = promise;
    stats.waiting++;
    try {
      await before;
    } finally {
      stats.waiting--;
    }
    stats.running++;
    try {
      request.signal?.throwIfAborted();
      const start = performance.now();
      await using session = model.session({
        policy: loaded?.policy ?? full(),
        ...(eviction ? { budget: eviction.budget } : {}),
      });
      let completionTokens = 0;
      for (let choice = 0; choice < (request.choices ?? 1); choice++) {
        const answer = session.generate({ ids }, {
          temperature: request.sampling.temperature,
          seed: request.sampling.seed + choice,
          maxTokens: request.maxTokens ?? context,
          stop: request.stop ?? [],
          ...(request.signal ? { signal: request.signal } : {}),
        });
        for await (const text of answer) {
          const last = tokenOf(model, answer.ids.at(-1) ?? 0);
          yield { kind: "token", choice, text, ...last };
        }
        request.signal?.throwIfAborted();
        completionTokens += answer.ids.length;
        yield {
          kind: "end",
          choice,
          text: "",
          finishReason: answer.finishReason === "length" ? "length" : "stop",
        };
      }
      const { kept, held, bytes, times, steps, notes } = session.stats();
      const mean = (numbers: readonly number[]) =>
        numbers.reduce((sum, one) => sum + one, 0) / Math.max(1, numbers.length);
      stats.promptTokens += ids.length;
      stats.generationTokens += completionTokens;
      yield {
        kind: "done",
        usage: { promptTokens: ids.length, completionTokens, cachedTokens: 0 },
        kvjudge: {
          policy: loaded?.policy.name ?? "full",
          kept: mean(kept.flat()),
          held: mean(held),
          bytesBefore: bytes.before,
          bytesAfter: bytes.after,
          times: { queue: 0, ...times },
          notes,
        },
        timings: {
          cachedTokens: 0,
          promptTokens: ids.length,
          promptMs: performance.now() - start - times.decode,
          predictedTokens: steps + 1,
          predictedMs: times.decode,
        },
      };
    } finally {
      stats.running--;
      resolve();
    }
  }
  return {
    models: () => [{ id, created, loaded: facts !== undefined, ...(facts ? { facts } : {}) }],
    submit,
    async tokenize(name, text, options = {}) {
      const model = await named(name);
      return model.tokenizer.encode(text, {
        special: options.special ?? false,
        bos: options.bos ?? false,
      }).map((one) => tokenOf(model, one));
    },
    async detokenize(name, ids) {
      return (await named(name)).tokenizer.decode(ids);
    },
    documents: {
      create: () => Promise.reject(new UnknownDocumentError("There are no documents here")),
      list: () => [],
      get: () => {
        throw new UnknownDocumentError("There are no documents here");
      },
      remove: () => Promise.reject(new UnknownDocumentError("There are no documents here")),
    },
    stats: () => stats,
    ready,
    async close() {
      stopping = true;
      await turn;
      await (await loading)[Symbol.asyncDispose]();
    },
  };
}

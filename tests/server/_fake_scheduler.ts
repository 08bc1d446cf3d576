import { PromptError } from "../../runtime/errors.ts";
import type { DocumentInfo, DocumentStore } from "../../server/scheduler/documents.ts";
import { UnknownDocumentError, UnknownModelError } from "../../server/scheduler/errors.ts";
import type { GenerationEvent } from "../../server/scheduler/events.ts";
import type { GenerationRequest } from "../../server/scheduler/request.ts";
import type { Scheduler, SchedulerStats } from "../../server/scheduler/scheduler.ts";
import type { Token } from "../../server/scheduler/token.ts";

/** What happens to a request. */
export interface Script {
  /** The pieces of each answer; the last answer stands for all that follow. */
  readonly answers?: readonly (readonly string[])[];
  readonly finishReason?: "stop" | "length";
  /** Thrown before the request is accepted. */
  readonly refuse?: Error;
  /** Thrown behind so many tokens. */
  readonly fail?: { readonly after: number; readonly error: Error };
  /** Waits for ever in this phase, until it is cancelled. */
  readonly hang?: "queued" | "reading" | "decoding";
}

/** A scheduler without a model, which tells what it was asked. */
export interface FakeScheduler extends Scheduler {
  readonly requests: GenerationRequest[];
  /** Phases in which requests wait for ever. */
  readonly hanging: string[];
  /** Phases in which requests were cancelled. */
  readonly cancelled: string[];
}

/** Words as tokens: the id is the length. */
export function fakeToken(token: string): Token {
  return { id: token.length, token, bytes: [...new TextEncoder().encode(token)] };
}

/** Makes a scheduler that does as it is told. */
export function fakeScheduler(
  script: (request: GenerationRequest) => Script = () => ({}),
  { ready = Promise.resolve() }: { readonly ready?: Promise<void> } = {},
): FakeScheduler {
  const requests: GenerationRequest[] = [];
  const hanging: string[] = [];
  const cancelled: string[] = [];
  const known = ["fake", "other/model"];
  const check = (model: string | undefined) => {
    if (model === undefined || known.includes(model)) return;
    throw new UnknownModelError(`There is no model '${model}' here; there are ${known.join(", ")}`);
  };
  async function* submit(request: GenerationRequest): AsyncGenerator<GenerationEvent, void> {
    requests.push(request);
    const { answers = [["Hello", " there"]], finishReason = "stop", refuse, fail, hang } = script(
      request,
    );
    check(request.model);
    if (refuse) throw refuse;
    let phase = "queued";
    let whole = false;
    const wait = async (here: string) => {
      phase = here;
      request.signal?.throwIfAborted();
      if (hang !== here) return await Promise.resolve();
      const { promise, reject } = Promise.withResolvers<never>();
      request.signal?.addEventListener("abort", () => reject(request.signal?.reason));
      hanging.push(here);
      await promise;
    };
    try {
      yield { kind: "accepted", promptTokens: 10 };
      await wait("queued");
      yield { kind: "reading", done: 4, total: 10, cached: 4 };
      await wait("reading");
      yield { kind: "reading", done: 10, total: 10, cached: 4 };
      if (request.promptLogprobs) {
        yield {
          kind: "prompt",
          tokens: [fakeToken("Once"), { ...fakeToken(" upon"), logprob: -1, top: [] }],
        };
      }
      let written = 0;
      for (let choice = 0; choice < (request.choices ?? 1); choice++) {
        const pieces = answers[choice] ?? answers.at(-1) ?? [];
        for (const piece of pieces) {
          await wait("decoding");
          if (fail && written >= fail.after) throw fail.error;
          written++;
          const scored = request.logprobs === undefined ? {} : {
            logprob: -0.5,
            top: Array.from({ length: request.logprobs }, (_, at) => ({
              ...fakeToken(at === 0 ? piece : `${piece}${at}`),
              logprob: -0.5 - at,
            })),
          };
          yield { kind: "token", choice, text: piece, ...fakeToken(piece), ...scored };
        }
        yield { kind: "end", choice, text: "", finishReason };
      }
      whole = true;
      yield {
        kind: "done",
        usage: { promptTokens: 10, completionTokens: written, cachedTokens: 4 },
        kvjudge: {
          policy: request.eviction ? request.eviction.policy : "full",
          kept: 8,
          held: 8 + written,
          bytesBefore: 1000,
          bytesAfter: 800,
          times: { queue: 1, prefill: 2, evidence: 3, selection: 4, compaction: 5, decode: 6 },
          notes: [],
          ...(request.explain ? { tokens: [{ text: "Hi", kept: 1 }] } : {}),
        },
        timings: {
          cachedTokens: 4,
          promptTokens: 6,
          promptMs: 20,
          predictedTokens: written,
          predictedMs: 40,
        },
      };
    } finally {
      if (!whole) cancelled.push(phase);
    }
  }
  return {
    requests,
    hanging,
    cancelled,
    models: () =>
      known.map((id) => ({
        id,
        created: 1000,
        loaded: id === "fake",
        facts: {
          context: 100,
          vocabulary: 50,
          layers: 2,
          kvHeads: 1,
          headDim: 4,
          family: "llama",
          precision: "int4",
          fingerprint: "0123456789abcdef",
          hasChatTemplate: true,
          eosIds: [0],
        },
      })),
    submit,
    tokenize: (model, text) => {
      check(model);
      return Promise.resolve((text.match(/\s*\S+/g) ?? []).map(fakeToken));
    },
    detokenize: (_model, ids) => {
      const wrong = ids.find((id) => id >= 50);
      if (wrong !== undefined) throw new PromptError(`Cannot read token ${wrong}`);
      return Promise.resolve(ids.map((id) => `<${id}>`).join(""));
    },
    documents: fakeDocuments(),
    stats: () => NOTHING_YET,
    ready,
    close: () => Promise.resolve(),
  };
}

const NOTHING_YET: SchedulerStats = {
  running: 1,
  waiting: 2,
  parallel: 2,
  cacheBytes: 50,
  cacheMemory: 100,
  prefixQueries: 10,
  prefixHits: 4,
  promptTokens: 10,
  generationTokens: 2,
  evictions: 0,
  steps: 2,
  stepTokens: 4,
};

function fakeDocuments(): DocumentStore {
  const all = new Map<string, DocumentInfo>();
  const find = (id: string) => {
    const found = all.get(id);
    if (found) return found;
    throw new UnknownDocumentError(`There is no document '${id}' here`);
  };
  return {
    create({ text, name, form = "chat", eviction, onProgress }) {
      onProgress?.(1, text.length);
      const document: DocumentInfo = {
        id: `doc-${text.length}`,
        ...(name === undefined ? {} : { name }),
        model: "fake",
        form,
        created: 1000,
        lastUsed: 1000,
        tokens: text.length,
        policy: eviction ? eviction.policy : "full",
        kept: text.length,
        bytesBefore: 10,
        bytesAfter: 5,
        stored: false,
      };
      all.set(document.id, document);
      return Promise.resolve(document);
    },
    list: () => [...all.values()],
    get: find,
    tokens: (id) =>
      Promise.resolve([
        { text: find(id).name ?? "", kept: 1 },
        { text: " left out", kept: 0 },
      ]),
    remove(id) {
      all.delete(find(id).id);
      return Promise.resolve();
    },
  };
}

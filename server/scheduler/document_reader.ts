import { bytesPerToken } from "../../runtime/cache/bytes_per_token.ts";
import { cacheShapeOf } from "../../runtime/engine/engine.ts";
import { createSession } from "../../runtime/session/open.ts";
import { full } from "../../policies/full.ts";
import type { DocumentsOptions } from "../documents/document_store.ts";
import type { ChatPrompt } from "../prompt/chat_prompt.ts";
import { renderDocument } from "../prompt/render_prompt.ts";
import { systemSpans } from "../prompt/system_span.ts";
import { ContextOverflowError } from "./errors.ts";
import { mean } from "./done_event.ts";
import { keptShares, packShares, unpackShares } from "./explain.ts";
import { policyOf, readWhole } from "./read_prompt.ts";
import type { SharedResources } from "./resources.ts";
import { laneOf } from "./shared_engine.ts";
import { timeLimit } from "./time_limit.ts";
import { untilAborted } from "./until_aborted.ts";

/** What documents are read with. */
export interface DocumentReaderOptions extends SharedResources {
  readonly timeout: number;
  /** Aborts when the server ends. */
  readonly ending: AbortSignal;
}

/** Reads documents as requests are read, in the same queue. */
export function documentReader(
  { pool, admission, makeRoom, running, counted, cachePrecision, timeout, ending, now }:
    DocumentReaderOptions,
): Pick<DocumentsOptions, "read" | "load" | "model" | "tokens"> {
  return {
    async model(name) {
      using used = await pool.use(name);
      const { id, facts: { fingerprint } } = used.loaded;
      return { model: id, fingerprint };
    },
    async read(reading) {
      const { eviction, text, system, form } = reading;
      const given = reading.signal ? [reading.signal] : [];
      using limit = timeLimit(reading.timeout ?? timeout, [ending, ...given]);
      const { signal } = limit;
      await using stack = new AsyncDisposableStack();
      const { loaded } = stack.use(await pool.use(reading.model));
      const { model, facts: { context } } = loaded;
      const document = { text, form, ...(system === undefined ? {} : { system }) };
      const ids = renderDocument(document, model.tokenizer);
      if (ids.length >= context) {
        throw new ContextOverflowError(
          `The document has ${ids.length} tokens, the model's context is ${context}: give a shorter one`,
          ids.length,
          context,
        );
      }
      const policy = await policyOf(eviction, stack, signal);
      const place = stack.use(admission.queue(1));
      await untilAborted(place.turn, signal);
      await makeRoom(ids.length * bytesPerToken(cacheShapeOf(model.engine)));
      const lane = laneOf(model.engine, loaded.turns, loaded.prefixes);
      await using failed = new AsyncDisposableStack();
      const chat: ChatPrompt = {
        kind: "chat",
        messages: system === undefined ? [] : [{ role: "system", content: system }],
      };
      const { session, reading: result } = await readWhole({ eviction }, ids, {
        ...{ loaded, lane, policy, cachePrecision, signal, now },
        system: systemSpans(chat, ids, model.tokenizer),
        reading: (done) => reading.onProgress?.(done, ids.length),
        own(session) {
          failed.use(session);
          const memory = { bytes: () => session.stats().bytes.now };
          running.add(memory);
          stack.defer(() => void running.delete(memory));
        },
      });
      const { kept, bytes } = session.stats();
      counted.promptTokens += ids.length;
      if (bytes.after < bytes.before) counted.evictions++;
      // The document's owner closes it from now on.
      failed.move();
      return {
        session,
        record: {
          tokens: ids.length,
          policy: policy.name,
          kept: mean(kept.flat()),
          bytesBefore: bytes.before,
          bytesAfter: bytes.now,
          shares: packShares(keptShares(ids.length, result)),
        },
      };
    },
    async tokens({ model, text, system, form, shares }) {
      if (shares === undefined) return [];
      using used = await pool.use(model);
      const { tokenizer } = used.loaded.model;
      const kept = unpackShares(shares);
      const document = { text, form, ...(system === undefined ? {} : { system }) };
      return renderDocument(document, tokenizer).map((id, index) => ({
        text: tokenizer.decode([id]),
        kept: kept[index] ?? 0,
      }));
    },
    async load(record, path) {
      using used = await pool.use(record.model);
      const { model, turns, prefixes, id } = used.loaded;
      const lane = laneOf(model.engine, turns, prefixes);
      lane.answers();
      const { tokenizer, facts } = model;
      const session = createSession(
        { engine: lane.engine, tokenizer, facts, now, name: id },
        { policy: full(), beyondContext: "refuse", cachePrecision },
      );
      try {
        await session.load(path);
        return session;
      } catch (error) {
        await session[Symbol.asyncDispose]();
        throw error;
      }
    },
  };
}

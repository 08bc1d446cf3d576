import { leaving } from "../http/leaving.ts";
import type { Services } from "../http/services.ts";
import { serverSentEvent } from "../http/event_stream.ts";
import { streamed } from "../http/streamed.ts";
import { evictionOf } from "../policies/eviction.ts";
import type { DocumentInfo, DocumentRequest } from "../scheduler/documents.ts";
import { checkBody } from "../schemas/check.ts";
import { DOCUMENT_REQUEST } from "../schemas/document.ts";
import { present } from "../schemas/fields.ts";

/** Answers `POST /v1/documents`: reads and compresses a document once. */
export async function createDocument(
  services: Services,
  body: unknown,
  left: AbortSignal,
): Promise<Response | object> {
  const asked = checkBody(DOCUMENT_REQUEST, body);
  const { signal, leave } = leaving(left);
  const request: DocumentRequest = {
    text: asked.text,
    form: asked.form ?? "chat",
    eviction: evictionOf(asked.eviction, services.eviction, services.permit),
    signal,
    ...present({
      model: asked.model,
      name: asked.name,
      system: asked.system,
      timeout: asked.timeout ? asked.timeout * 1000 : undefined,
    }),
  };
  const { documents } = services.scheduler;
  if (!asked.stream) return shown(await documents.create(request));
  return streamed(services, progress(documents, request), { cancel: leave });
}

/** How far a document is read, as it is, and the document in the end. */
async function* progress(
  { create }: Services["scheduler"]["documents"],
  request: DocumentRequest,
): AsyncGenerator<string, void> {
  let latest: { readonly done: number; readonly total: number } | undefined;
  let news = Promise.withResolvers<void>();
  const reading = create({
    ...request,
    onProgress(done, total) {
      latest = { done, total };
      news.resolve();
    },
  }).then((document) => ({ document }));
  for (;;) {
    const finished = await Promise.race([reading, news.promise]);
    if (finished) return yield serverSentEvent(shown(finished.document));
    news = Promise.withResolvers<void>();
    yield serverSentEvent({ progress: latest });
  }
}

/** Answers `GET /v1/documents`. */
export function listDocuments({ scheduler }: Services) {
  return { object: "list", data: scheduler.documents.list().map(shown) };
}

/**
 * Answers `GET /v1/documents/ID`.
 *
 * @throws {UnknownDocumentError} If there is none.
 */
export function showDocument({ scheduler }: Services, id: string) {
  return shown(scheduler.documents.get(id));
}

/**
 * Answers `GET /v1/documents/ID/tokens`: what was kept of it.
 *
 * @throws {UnknownDocumentError} If there is none.
 */
export async function documentTokens({ scheduler }: Services, id: string) {
  return { id, object: "document.tokens", tokens: await scheduler.documents.tokens(id) };
}

/**
 * Answers `DELETE /v1/documents/ID`.
 *
 * @throws {UnknownDocumentError} If there is none.
 */
export async function removeDocument({ scheduler }: Services, id: string) {
  await scheduler.documents.remove(id);
  return { id, object: "document.deleted", deleted: true };
}

function shown(document: DocumentInfo) {
  return {
    id: document.id,
    object: "document",
    created: document.created,
    last_used: document.lastUsed,
    name: document.name ?? null,
    model: document.model,
    form: document.form,
    tokens: document.tokens,
    policy: document.policy,
    kept: document.kept,
    bytes_before: document.bytesBefore,
    bytes_after: document.bytesAfter,
    stored: document.stored,
  };
}

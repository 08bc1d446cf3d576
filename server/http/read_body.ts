import { InvalidRequestError } from "./request_error.ts";

/** Deeper bodies come from no client, and would exhaust the stack of whatever walks them. */
const DEEPEST = 128;

/**
 * Reads a request's body as JSON.
 *
 * @param most Bytes at most.
 * @throws {InvalidRequestError} If it is no JSON, too large or too deep, or if a page of another origin
 * does not declare it as JSON.
 */
export async function readJsonBody(request: Request, most: number): Promise<unknown> {
  checkContentType(request.headers);
  const bytes = await readBytes(request, most);
  const text = decoded(bytes);
  checkDepth(text);
  try {
    return JSON.parse(text);
  } catch {
    throw invalid("Invalid request: the body is not JSON", "invalid_json");
  }
}

/**
 * Browsers send anything else to foreign servers without asking them first, but always with an origin.
 * `curl -d` sends none, and calls everything a form.
 */
function checkContentType(headers: Headers): void {
  if (!headers.has("origin")) return;
  const type = headers.get("content-type");
  if (type !== null && /^application\/([\w.+-]+\+)?json\s*(;|$)/i.test(type)) return;
  throw new InvalidRequestError(
    `Invalid request: the content type must be application/json, got ${type ?? "none"}`,
    { status: 415, code: "unsupported_media_type" },
  );
}

async function readBytes(request: Request, most: number): Promise<Uint8Array> {
  if (Number(request.headers.get("content-length") ?? 0) > most) throw tooLarge(most);
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of partsOf(request)) {
    size += part.length;
    if (size > most) throw tooLarge(most);
    parts.push(part);
  }
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

async function* partsOf({ body, signal }: Request): AsyncGenerator<Uint8Array, void> {
  try {
    if (body) yield* body;
  } catch (error) {
    if (signal.aborted) throw new DOMException("The client has left", "AbortError");
    throw error;
  }
}

function decoded(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw invalid("Invalid request: the body is not UTF-8", "invalid_json");
  }
}

function checkDepth(text: string): void {
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (quoted) {
      if (code === BACKSLASH) at++;
      else if (code === QUOTE) quoted = false;
    } else if (code === QUOTE) quoted = true;
    else if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      if (++depth > DEEPEST) {
        throw invalid(`Invalid request: the body is nested deeper than ${DEEPEST}`, "too_deep");
      }
    } else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) depth--;
  }
}

const [QUOTE, BACKSLASH, OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET] = [...'"\\{}[]']
  .map((character) => character.charCodeAt(0));

function invalid(message: string, code: string): InvalidRequestError {
  return new InvalidRequestError(message, { code });
}

function tooLarge(most: number): InvalidRequestError {
  return new InvalidRequestError(
    `Invalid request: the body has more than ${most} bytes; send less, or start the server with a ` +
      "higher --max-body",
    { status: 413, code: "body_too_large", headers: { connection: "close" } },
  );
}

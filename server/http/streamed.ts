import { errorReply } from "./error_reply.ts";
import { serverSentEvent, streamBody } from "./event_stream.ts";
import type { Services } from "./services.ts";

/** Header fields of server-sent events; nginx holds streams back unless it is told not to. */
const HEADERS = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-cache",
  "x-accel-buffering": "no",
};

/** How a stream ends. */
export interface StreamedOptions {
  readonly cancel: () => void;
  /** What follows the last part. @default {`data: [DONE]`} */
  readonly end?: string;
  /** An error in the middle. @default {`data: {"error": …}`} */
  readonly failed?: (body: ReturnType<typeof errorReply>["body"]) => string;
}

/** A reply of server-sent events; an error in the middle is one of them. */
export function streamed(
  { keepAlive, log }: Pick<Services, "keepAlive" | "log">,
  parts: AsyncIterable<string>,
  { cancel, end = "data: [DONE]\n\n", failed = serverSentEvent }: StreamedOptions,
): Response {
  async function* pieces(): AsyncGenerator<string, void> {
    try {
      yield* parts;
    } catch (error) {
      const { body, bug } = errorReply(error);
      if (bug) log(error);
      yield failed(body);
    }
    yield end;
  }
  const body = streamBody(pieces(), { keepAlive, onLeave: cancel });
  return new Response(body, { headers: HEADERS });
}

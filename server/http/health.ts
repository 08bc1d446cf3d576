import type { Services } from "./services.ts";

/** Answers `GET /health`: 503 until the default model is loaded, and where it cannot be. */
export function health({ readiness }: Services): Response {
  const status = readiness();
  if (status === "ok") return Response.json({ status });
  const message = status === "loading" ? "Loading model" : "The model could not be loaded";
  return Response.json(
    { status, error: { code: 503, message, type: "unavailable_error" } },
    { status: 503, headers: { "retry-after": "1" } },
  );
}

/** Answers `GET /metrics`. */
export async function metricsText({ metrics }: Services): Promise<Response> {
  return new Response(await metrics.text(), { headers: { "content-type": metrics.contentType } });
}

import { checkBody } from "../schemas/check.ts";
import { DETOKENIZE_REQUEST, TOKENIZE_REQUEST } from "../schemas/tokenize.ts";
import type { Services } from "./services.ts";

/** Answers `POST /tokenize`. */
export async function tokenize({ scheduler }: Services, body: unknown) {
  const { model, content, add_special, parse_special, with_pieces } = checkBody(
    TOKENIZE_REQUEST,
    body,
  );
  const tokens = await scheduler.tokenize(model ?? undefined, content, {
    bos: add_special ?? false,
    special: parse_special ?? true,
  });
  return {
    tokens: with_pieces
      ? tokens.map(({ id, token, bytes }) => ({
        id,
        piece: isWhole(token) ? token : bytes,
      }))
      : tokens.map(({ id }) => id),
  };
}

/** Bytes of a part of a character have no text. */
function isWhole(token: string): boolean {
  return !token.includes("\ufffd");
}

/** Answers `POST /detokenize`. */
export async function detokenize({ scheduler }: Services, body: unknown) {
  const { model, tokens } = checkBody(DETOKENIZE_REQUEST, body);
  return { content: await scheduler.detokenize(model ?? undefined, tokens) };
}

/** Answers `GET /props`. */
export function props({ scheduler, eviction, version }: Services) {
  const [model] = scheduler.models();
  const stats = scheduler.stats();
  return {
    default_generation_settings: { n_ctx: model?.facts?.context ?? null },
    total_slots: stats.parallel,
    model_path: model?.id ?? null,
    build_info: `kvjudge ${version}`,
    kvjudge: {
      eviction: eviction.policy === false ? false : eviction,
      cache_bytes: stats.cacheBytes,
      cache_memory: stats.cacheMemory,
    },
  };
}

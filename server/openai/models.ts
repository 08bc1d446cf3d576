import type { Services } from "../http/services.ts";
import { UnknownModelError } from "../scheduler/errors.ts";
import type { ServedModel } from "../scheduler/scheduler.ts";

/** Answers `GET /v1/models`. */
export function listModels({ scheduler }: Pick<Services, "scheduler">) {
  return { object: "list", data: scheduler.models().map(shown) };
}

/**
 * Answers `GET /v1/models/ID`.
 *
 * @throws {UnknownModelError} If there is none of this name.
 */
export function showModel({ scheduler }: Pick<Services, "scheduler">, id: string) {
  const models = scheduler.models();
  const found = models.find((model) => model.id === id);
  if (found) return shown(found);
  throw new UnknownModelError(
    `There is no model '${id}' here; there are ${models.map((model) => model.id).join(", ")}`,
  );
}

function shown({ id, created, loaded, facts }: ServedModel) {
  return {
    id,
    object: "model",
    created,
    owned_by: "kvjudge",
    meta: {
      loaded,
      ...(facts
        ? {
          family: facts.family,
          precision: facts.precision,
          n_ctx: facts.context,
          n_vocab: facts.vocabulary,
          n_layer: facts.layers,
          n_kv_heads: facts.kvHeads,
          head_dim: facts.headDim,
          chat: facts.hasChatTemplate,
        }
        : {}),
    },
  };
}

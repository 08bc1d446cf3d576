import type { Services } from "../http/services.ts";

/** What replies say of themselves. */
export interface ReplyHead {
  readonly id: string;
  /** Unix time in seconds. */
  readonly created: number;
  readonly model: string;
  readonly fingerprint: string;
}

/** Makes the head of a reply, once for all its parts. */
export function replyHead(
  { scheduler, now, newId, version }: Services,
  prefix: string,
  asked: string | null | undefined,
): ReplyHead {
  const models = scheduler.models();
  const model = models.find(({ id }) => id === asked) ?? models[0];
  const fingerprint = model?.facts?.fingerprint.slice(0, 12) ?? "unknown";
  return {
    id: `${prefix}-${newId()}`,
    created: Math.floor(now() / 1000),
    model: asked ?? model?.id ?? "",
    fingerprint: `fp_${fingerprint}_${version}`,
  };
}

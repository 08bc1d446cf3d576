import { existsSync } from "node:fs";
import { CATALOG } from "../runtime/models/catalog.ts";
import { pinnedPath } from "../runtime/models/fetch_model.ts";
import { homeFolder } from "../runtime/models/home.ts";

/**
 * Path of Gemma 3 270M, for tests that need the real model, where it was fetched
 * (`kvjudge models fetch gemma-3-270m`). Tests do not fetch it: whoever does accepts its terms.
 */
export function gemma3(): string | undefined {
  const model = CATALOG.find(({ name }) => name === "gemma-3-270m");
  if (!model?.pinned) return undefined;
  const path = pinnedPath(homeFolder(), { ...model, pinned: model.pinned });
  return existsSync(path) ? path : undefined;
}

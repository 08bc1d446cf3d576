import { table } from "./_table.ts";
import { EnumType } from "@cliffy/command";
import {
  type ProviderName,
  type ProviderReport,
  PROVIDERS,
} from "../runtime/device/device_report.ts";
import { bestDevice } from "../runtime/device/choose_device.ts";
import { probeDevices } from "../runtime/device/probe_devices.ts";
import { formatBytes, write } from "./_output.ts";
import { bareCommand, type Subcommand } from "./_subcommand.ts";

/** `kvjudge devices`: what this machine can compute with. */
export function devicesCommand(): Subcommand {
  return bareCommand().name("kvjudge devices").description(
    "Lists what onnxruntime can compute with on this machine, and what is missing for the rest.",
  )
    .type("provider", new EnumType(PROVIDERS))
    .option("--json", "Print a JSON array.")
    .option(
      "--probe <provider:provider>",
      "Try one provider inside this process and print a line of JSON. A broken driver may end it.",
    )
    .action(async ({ json = false, probe }) => {
      if (probe !== undefined) return await probeOne(probe);
      const reports = await probeDevices();
      write(json ? `${JSON.stringify(reports)}\n` : show(reports));
    });
}

async function probeOne(provider: ProviderName): Promise<void> {
  const { probeHere } = await import("../runtime/device/probe_here.ts");
  write(`${JSON.stringify(await probeHere(provider))}\n`);
}

function show(reports: readonly ProviderReport[]): string {
  const lines = reports.map(({ provider, works, adapter, fp16, maxBufferBytes, missing }) => {
    const facts = works
      ? [
        "works",
        ...adapter === undefined ? [] : [adapter],
        fp16 ? "16-bit floats" : "no 16-bit floats",
        ...maxBufferBytes === undefined ? [] : [`buffers up to ${formatBytes(maxBufferBytes)}`],
      ].join(", ")
      : missing ?? "does not work";
    return [provider, facts];
  });
  const { provider, why } = bestDevice(reports);
  return `${table(lines, { left: [0, 1] })}\n--device auto takes ${provider}: ${why}\n`;
}

import { probeProvider, type ProviderAbilities } from "../../kernels/device/provider_probe.ts";
import { type ProviderName, PROVIDERS } from "./device_report.ts";

/** What a probe says of a provider, as one line of JSON. */
export type ProbeAnswer =
  | ({ readonly works: true; readonly adapter?: string } & ProviderAbilities)
  | { readonly works: false; readonly reason: string };

/**
 * Tries a provider inside this process, which a broken driver may end: see `probeDevices`.
 *
 * @returns What it can do, or the native library's own words.
 */
export async function probeHere(provider: ProviderName): Promise<ProbeAnswer> {
  try {
    const abilities = await probeProvider(provider);
    const adapter = provider === "webgpu" ? await adapterName() : undefined;
    return { works: true, ...abilities, ...adapter === undefined ? {} : { adapter } };
  } catch (error) {
    return { works: false, reason: error instanceof Error ? error.message : String(error) };
  }
}

// onnxruntime does not tell its adapter's name. Deno's own WebGPU does, where its flag is set.
async function adapterName(): Promise<string | undefined> {
  try {
    const adapter = await navigator.gpu?.requestAdapter();
    return adapter?.info.description || undefined;
  } catch {
    return undefined;
  }
}

if (import.meta.main) {
  const provider = PROVIDERS.find((name) => name === Deno.args[0]) ?? "cpu";
  const answer = JSON.stringify(await probeHere(provider));
  Deno.stdout.writeSync(new TextEncoder().encode(`${answer}\n`));
  Deno.exit(0);
}

import type { Environment } from "./home.ts";

/** Address of the hub: `HF_ENDPOINT`, or the public one. No slash at the end. */
export function hubEndpoint(environment: Environment): string {
  return (environment("HF_ENDPOINT") || "https://huggingface.co").replace(/\/+$/, "");
}

/** Where the hub at `endpoint` has a file of a repository at a commit. */
export function hubFileUrl(
  endpoint: string,
  repository: string,
  commit: string,
  path: string,
): string {
  const encoded = path.split("/").map(encodeURIComponent).join("/");
  return `${endpoint}/${repository}/resolve/${encodeURIComponent(commit)}/${encoded}`;
}

/** The header that shows the user's token to the hub, if there is one. */
export function hubHeaders(environment: Environment): Record<string, string> {
  const token = environment("HF_TOKEN");
  return token ? { Authorization: `Bearer ${token}` } : {};
}

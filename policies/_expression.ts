import type { Policy } from "./policy.ts";

/** A policy as it is written on a command line. */
export function expression({ name, options = {} }: Policy): string {
  const written = Object.entries(options)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => {
      const text = typeof value === "string" ? value : JSON.stringify(value);
      return key === "inner" || key === "second" ? text : `${key}=${text}`;
    });
  return written.length === 0 ? name : `${name}(${written.join(",")})`;
}

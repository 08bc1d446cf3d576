import { registry } from "../../policies/registry.ts";
import { testPolicy } from "../_conformance.ts";

for (const { name, load } of Object.values(registry)) {
  const { default: create } = await load();
  testPolicy({ name, create });
}

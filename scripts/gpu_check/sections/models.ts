import { checkpointPath, describeModel } from "../open_model.ts";
import type { Section } from "../section.ts";

/** Makes the random checkpoint, so that no other section is late for it. */
export const models: Section = {
  name: "models",
  seconds: 90,
  least: 5,
  async run(options, report) {
    const start = performance.now();
    const path = await checkpointPath(options);
    const written = performance.now();
    const { weights, config } = await describeModel(options, path);
    report(path.split("/").at(-1) ?? path, {
      "write s": (written - start) / 1000,
      "convert s": (performance.now() - written) / 1000,
      layers: config.layers,
      hidden: config.hidden,
      "weight bytes a token": weights.perToken,
    });
  },
};

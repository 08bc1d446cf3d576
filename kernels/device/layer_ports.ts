/** Names of a layer's tensors in the step graph of a device. */
export function layerPorts(layer: number) {
  return {
    keys: `keys.${layer}`,
    values: `values.${layer}`,
    slots: `slots.${layer}`,
    lastIndex: `last_index.${layer}`,
    total: `total.${layer}`,
    presentKeys: `present_keys.${layer}`,
    presentValues: `present_values.${layer}`,
    queries: `queries.${layer}`,
    attentionSums: `attention_sums.${layer}`,
  };
}

export * from "../plugins/conformance/fake_layer.ts";

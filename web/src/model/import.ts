import { isObject, type JsonObject } from "./merge-patch";

/**
 * The dashboard in a file, as it is and as a copy without ids of its own. Throws an error with the reason when text is
 * none; the config service checks everything else.
 */
export function importable(text: string): { readonly whole: JsonObject; readonly copy: JsonObject } {
  let whole: unknown;
  try {
    whole = JSON.parse(text);
  } catch (error) {
    throw new Error(`it is not JSON (${(error as SyntaxError).message}). A YAML file is for pulseboard dashboards apply.`);
  }
  if (!isObject(whole)) throw new Error("it must be an object with title and widgets, as Export as JSON writes it.");
  if (Array.isArray(whole["panels"]) || isObject(whole["spec"])) throw new Error("it is a dashboard of Grafana's. pulseboard dashboards import-grafana makes ours of it, and reports what is lost.");
  const { dashboard_id: _, widgets, ...rest } = whole;
  const bare = (widget: unknown): unknown => (isObject(widget) ? { ...widget, widget_id: undefined, dashboard_id: undefined } : widget);
  return { whole, copy: { ...rest, widgets: Array.isArray(widgets) ? widgets.map(bare) : widgets } };
}

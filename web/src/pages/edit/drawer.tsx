import { useId, useState } from "preact/hooks";
import type { Widget, WidgetCost } from "../../api/types";
import { nameOf, textAt, type PathText } from "../../model/draft";
import type { JsonObject } from "../../model/merge-patch";
import { getAt, setMember, tabOf, TABS, type Tab } from "../../model/widget-form";
import { OF_DISTRIBUTIONS } from "../../widgets/types";
import { Display, Thresholds } from "./display";
import { walk } from "./fields";
import type { Form } from "./form";
import { Json } from "./json";
import { Panel } from "./panel";
import { Query } from "./query";

interface WidgetDrawerProps {
  readonly widget: Widget;
  readonly faults: readonly PathText[];
  readonly warnings: readonly PathText[];
  readonly cost: WidgetCost | undefined;
  /** step names what is changed, for undo. */
  onChange(widget: Widget, step: string): void;
  onClose(): void;
}

export function WidgetDrawer({ widget, faults, warnings, cost, onChange, onClose }: WidgetDrawerProps) {
  const [tab, setTab] = useState<Tab>("Query");
  const id = useId();
  let document: JsonObject = { ...widget };
  const form: Form = {
    get: (path) => getAt(document, path),
    set: (path, value) => {
      document = setMember(document, path, value, OF_DISTRIBUTIONS); // One event may set several.
      onChange(document as unknown as Widget, path);
    },
    at: (path) => ({ error: textAt(faults, path), hint: textAt(warnings, path) }),
  };
  return (
    <Panel title={nameOf(widget)} onClose={onClose}>
      <Tabs panel={id} tab={tab} faults={faults} onTab={setTab} />
      <div class="drawer-body" role="tabpanel" id={id} aria-labelledby={`${id}-${tab}`}>
        {tab === "Query" ? <Query form={form} /> : null}
        {tab === "Display" ? <Display form={form} /> : null}
        {tab === "Thresholds" ? <Thresholds form={form} /> : null}
        {tab === "JSON" ? <Json key={widget.widget_id} widget={widget} faults={faults} onChange={onChange} /> : null}
      </div>
      <p class="drawer-foot">{costText(cost)}</p>
    </Panel>
  );
}

interface TabsProps {
  /** The id of the panel. */
  readonly panel: string;
  readonly tab: Tab;
  readonly faults: readonly PathText[];
  onTab(tab: Tab): void;
}

function Tabs({ panel, tab, faults, onTab }: TabsProps) {
  return (
    <div class="tabs" role="tablist" aria-label="Settings" onKeyDown={(event) => walk(event)?.click()}>
      {TABS.map((name) => {
        const count = faults.filter((one) => name === "JSON" || tabOf(one.path) === name).length;
        return (
          <button
            key={name}
            type="button"
            role="tab"
            class="tab"
            id={`${panel}-${name}`}
            aria-selected={name === tab}
            aria-controls={panel}
            tabIndex={name === tab ? 0 : -1}
            onClick={() => onTab(name)}
          >
            {name}{" "}
            {count === 0 ? null : (
              <span class="tab-faults">
                {count}
                <span class="sr-only"> to mend</span>
              </span>
            )}
          </button>
        );
      })}
    </div>
  );
}

function costText(cost: WidgetCost | undefined): string {
  if (cost === undefined) return "";
  const { series, groups } = cost;
  const now = cost.new ? "The pipeline does not compute this query yet." : "The pipeline computes this query already.";
  if (series === null) return `${now} No event of this metric has come in the last hour.`;
  return `${now} Its metric has ${series.toLocaleString("en")} series; the chart gets at most ${groups ?? 1}.`;
}

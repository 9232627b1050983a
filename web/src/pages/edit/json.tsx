import { useState } from "preact/hooks";
import { messageOf } from "../../api/client";
import type { Widget } from "../../api/types";
import type { PathText } from "../../model/draft";
import { shapeFault } from "../../model/widget-form";
import { Field } from "../../ui/field";

interface JsonProps {
  readonly widget: Widget;
  readonly faults: readonly PathText[];
  onChange(widget: Widget, step: string): void;
}

/** The document itself. What is typed stays as it is until the document changes elsewhere. */
export function Json({ widget, faults, onChange }: JsonProps) {
  const now = JSON.stringify(widget, null, 2);
  const [typed, setTyped] = useState({ text: now, means: now, fault: "" });
  const { text, fault } = typed.means === now ? typed : { text: now, fault: "" };
  const type = (value: string): void => {
    try {
      const document: unknown = JSON.parse(value);
      const problem = shapeFault(document);
      if (problem !== "") throw new Error(problem);
      const next = { ...(document as Widget), widget_id: widget.widget_id };
      setTyped({ text: value, means: JSON.stringify(next, null, 2), fault: "" });
      onChange(next, "json");
    } catch (failure) {
      setTyped({ text: value, means: now, fault: `This is not taken over yet: ${messageOf(failure)}` });
    }
  };
  return (
    <>
      <Field class="full" label="The widget as JSON" error={fault || undefined}>
        {(aria) => <textarea {...aria} class="input" rows={22} spellcheck={false} value={text} onInput={(event) => type(event.currentTarget.value)} />}
      </Field>
      {faults.map((one) => (
        <p key={one.path} class="full field-error">
          /{one.path}: {one.text}
        </p>
      ))}
    </>
  );
}

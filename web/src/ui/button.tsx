import type { ButtonHTMLAttributes } from "preact";
import { Icon, type IconName } from "./icon";

interface ButtonProps extends Omit<ButtonHTMLAttributes<HTMLButtonElement>, "class" | "type" | "icon" | "label"> {
  readonly look?: "primary" | "quiet" | "danger" | "link";
  readonly icon?: IconName;
  /** What a button with an icon and no text does. */
  readonly label?: string;
  readonly class?: string;
  readonly "data-id"?: string;
}

export function Button({ look, icon, label, class: more, children, ...rest }: ButtonProps) {
  const classes = [look !== "link" && "button", look && `button-${look}`, label && "button-icon", more];
  return (
    <button type="button" class={classes.filter(Boolean).join(" ")} aria-label={label} title={label} {...rest}>
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
}

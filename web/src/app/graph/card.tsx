/** The look of a node: its kind, its name, and what a page adds. */

import type { ReactNode } from 'react';
import type { StepData } from './graph-view';
import { KindSign, titleOfKind } from './kinds';

interface CardFrameProps {
  readonly step: StepData;
  readonly isSelected: boolean;
  /** A class that sets the tone of the frame. */
  readonly tone?: string;
  /** In the upper right corner. */
  readonly sign?: ReactNode;
  /** At the end of the second line. */
  readonly aside?: ReactNode;
  readonly children?: ReactNode;
}

export function CardFrame({ step, isSelected, tone, sign, aside, children }: CardFrameProps) {
  return (
    <div className={`step ${tone ?? ''}`} data-selected={isSelected} data-key={step.key}>
      <div className="step-head">
        <span className="step-kind">
          <KindSign kind={step.kind} />
        </span>
        <span className="step-name" title={step.name}>
          {step.name}
        </span>
        {sign}
      </div>
      <div className="step-line">
        <span>{titleOfKind(step.kind)}</span>
        {aside}
      </div>
      {children}
    </div>
  );
}

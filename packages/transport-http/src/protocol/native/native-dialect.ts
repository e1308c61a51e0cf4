import { refuseAsJson } from '../../status-of.ts'
import type { Dialect, DialectContext, Route } from '../dialect.ts'
import { checkIn } from './check-in.ts'
import { image } from './image.ts'
import { report } from './report.ts'

/** reflash's own protocol, version 1: JSON up and down, images by Range. Errors are `{"code", "message", "because"?}`. */
export const nativeDialect: Dialect = Object.freeze({
  name: 'native',
  routes: (context: DialectContext): readonly Route[] => [
    {
      name: 'native.check-in',
      method: 'POST',
      path: '/v1/devices/:device/check-in',
      answer: (request, params) => checkIn(context, request, params),
      refuse: refuseAsJson,
    },
    {
      name: 'native.image',
      method: 'GET',
      path: '/v1/devices/:device/offers/:seq/images/:component',
      answer: (request, params) => image(context, request, params),
      refuse: refuseAsJson,
    },
    {
      name: 'native.report',
      method: 'POST',
      path: '/v1/devices/:device/offers/:seq/report',
      answer: (request, params) => report(context, request, params),
      refuse: refuseAsJson,
    },
  ],
})

export { cliErrors } from './cli-errors.ts'
export { defineConfig, type ServerConfig } from './serve/server-config.ts'

export { defineConfig, type ServerConfig } from './serve/server-config.ts'

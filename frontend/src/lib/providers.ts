import type { Provider } from '@/gql/generated/graphql';

const names: Record<Provider, string> = {
  IBM_VPC: 'IBM Cloud VPC',
  RACK: 'Own hardware',
  SCRIPT: 'Scripted host',
};

/** Where a machine is from, for people; a provider that this app does not know by its own name. */
export function providerName(provider: Provider): string {
  return (names as Partial<Record<string, string>>)[provider] ?? provider.toLowerCase();
}
